"""Ports that nothing listens on."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def unused_port() -> int:
    """A port that nothing listens on."""
    return unused_ports(1)


def unused_ports(count: int) -> int:
    """The first of `count` ports in a row that nothing listens on."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            first: int = probe.getsockname()[1]
        if first + count < 65536 and all(_free(first + number) for number in range(count)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
