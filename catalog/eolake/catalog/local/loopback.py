"""The loopback interface: everything local talks over 127.0.0.1, which a machine or container cut off from all networks may lack."""

from __future__ import annotations

import fcntl
import socket
import struct

import psutil

from eolake.catalog.errors import Unreachable

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
"""linux/sockios.h, linux/if.h"""
_IFREQ = "16sH22x"


def ensure_loopback() -> None:
    """Switch the loopback interface on when it is off (as in a new network namespace); Unreachable when we may not."""
    found = psutil.net_if_stats().get("lo")
    if found is None or found.isup:  # other systems call it otherwise, and have it always
        return
    try:
        _switch_on(b"lo")
    except OSError as error:
        raise Unreachable(f"the loopback interface is off ({error}); as root: ip link set lo up") from error


def _switch_on(name: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack(_IFREQ, name, 0))
        flags = struct.unpack(_IFREQ, answer)[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack(_IFREQ, name, flags | _IFF_UP))
