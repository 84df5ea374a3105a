"""What `vibespace init` tells a daemon of the engine, where that is the fake one."""

from vibespace.engine.base import FAKE
from vibespace.v1.system_pb2 import HostEngine

FAKE_ENGINE = HostEngine(brand=FAKE, version="1", address="memory")
