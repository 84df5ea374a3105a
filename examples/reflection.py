"""Calls any unary method with nothing but what the daemon tells about itself: no generated code, no vibespace package.

    python examples/reflection.py SOCKET                 # the methods there are
    python examples/reflection.py SOCKET METHOD [JSON]   # VibespaceService/GetVibespace '{"name": "vibespaces/demo"}'

A daemon must run; `vibespace status` starts it.
"""

import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

PACKAGE = "vibespace.v1"


def main(socket: str, method: str = "", text: str = "{}") -> None:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        if method:
            print(call(channel, pool, method, text))
            return
        for service in sorted(database.get_services()):
            if service.startswith(f"{PACKAGE}."):
                for found in pool.FindServiceByName(service).methods:
                    print(f"{found.containing_service.name}/{found.name}")


def call(channel: grpc.Channel, pool: DescriptorPool, method: str, text: str) -> str:
    """The answer of `method` to the request that `text` is, both as JSON."""
    service, _, name = method.partition("/")
    try:
        found = pool.FindServiceByName(f"{PACKAGE}.{service}").methods_by_name[name]
    except KeyError:
        sys.exit(f"The daemon has no method {method}.")
    request = json_format.Parse(text, GetMessageClass(found.input_type)(), descriptor_pool=pool)
    send: grpc.UnaryUnaryMultiCallable[Message, Message] = channel.unary_unary(
        f"/{PACKAGE}.{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(found.output_type).FromString,
    )
    return json_format.MessageToJson(send(request), preserving_proto_field_name=True, descriptor_pool=pool)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except grpc.RpcError as e:
        sys.exit(f"{e.code().name}: {e.details()}")
