"""Settings: defaults < config.yaml < environment < flags."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from vibespace.errors import Exhausted, InvalidArgument


@dataclass(frozen=True)
class Settings:
    """What config.yaml may say; each name there is written with a dot (`engine.socket`)."""

    engine_socket: str = ""
    """Unix socket of the engine to use, instead of looking for one."""
    image_base: str = ""
    """What the agents' image stands on: a reference, or a tar of a Debian root file system; empty for what it stands on
    already, and setup/base.py:DEFAULT for the first one.
    """
    network_allow: tuple[str, ...] = ()
    """What new vibespaces reach of this machine and of private networks, CIDR:PORT each."""


TEMPLATE = """\
# vibespace: what can be set. Remove the '#' of a line to set it.
#
# engine:
#   # The one to use, chosen by the first 'init'; without it one is looked for.
#   socket: /run/podman/podman.sock
# image:
#   # A reference, or a tar of a Debian root file system.
#   base: docker.io/library/debian:bookworm-slim
# network:
#   # CIDR:PORT of what new vibespaces reach here and in private networks.
#   allow: [192.168.1.10/32:5432]
"""


def load(path: Path) -> Settings:
    """What `path` sets, over the defaults. Raises InvalidArgument naming the file and what is wrong in it,
    Exhausted TOO_MANY_FILES when there is nothing wrong in it.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Settings()
    except OSError as e:
        if e.errno in (errno.EMFILE, errno.ENFILE):
            raise Exhausted("TOO_MANY_FILES", f"{path} cannot be read: {e.strerror}.", hint="Try again.") from e
        raise InvalidArgument("CONFIG_INVALID", f"{path} cannot be read: {e.strerror}.", hint=HINT) from e
    except UnicodeDecodeError as e:
        raise InvalidArgument("CONFIG_INVALID", f"{path} cannot be read: {e}.", hint=HINT) from e
    from vibespace.configfile import parse  # noqa: PLC0415 (a YAML parser: a megabyte, which a daemon at rest spares)

    return Settings(**parse(path, text))


def parse_allowance(text: str) -> tuple[IPv4Network | IPv6Network, int]:
    """The network and the port of CIDR:PORT. Raises ValueError saying what is wrong."""
    cidr, _, port = text.rpartition(":")
    if "/" not in cidr or "%" in cidr or not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16):
        raise ValueError(f"{text!a} is no CIDR:PORT, such as '192.168.1.10/32:5432'")
    return ip_network(cidr), int(port)


HINT = "Mend it, or move it away: 'vibespace init' then makes a template."
