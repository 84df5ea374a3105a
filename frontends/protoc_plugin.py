"""A protoc plugin for the generators that are built into protoc itself, which buf does not carry.

`python -m frontends.protoc_plugin python|grpc_python` reads a CodeGeneratorRequest and writes a CodeGeneratorResponse.
"""

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc


def generate(generator: str, request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Run grpc_tools' protoc on the files of `request` and collect what it writes."""
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch, "in.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = Path(scratch, "out")
        out.mkdir()
        flags = [f"--descriptor_set_in={descriptors}", f"--{generator}_out={out}"]
        if protoc.main(["protoc", *flags, *request.file_to_generate]):
            response.error = f"protoc could not generate {generator}"
        for path in sorted(out.rglob("*.py")):
            response.file.add(name=str(path.relative_to(out)), content=path.read_text())
    return response


if __name__ == "__main__":
    answer = generate(sys.argv[1], CodeGeneratorRequest.FromString(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(answer.SerializeToString())
