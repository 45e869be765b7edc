"""The address that the server listens on: had before anything is opened, or told why not."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from features.errors import UserError


class AddressError(UserError):
    """The server cannot listen where it should; the message says why and what to do."""


def bound(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host, bound to the port; nobody is listened to yet.

    Port 0 is any free one. Raises AddressError if there is no such address here, the port is in use or not
    for this account.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sockets.append(_bound(socket.socket(family, kind, protocol), address))
            except OSError as error:
                # A name may have an address of a kind that this machine is set up without.
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError as error:
        for each in sockets:
            each.close()
        raise not_had(host, port, error) from None
    return sockets


def _bound(listener: socket.socket, address: Any) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def not_had(host: str, port: int, error: OSError) -> AddressError:
    """What is told of an address that could not be had."""
    return AddressError(f"{host}, port {port}: {_why_not(error)}")


def _why_not(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host. Name an address of this machine with --host."
    reasons = {
        errno.EADDRINUSE: "in use. End the other process (is a server running already?), or name another "
        "--port.",
        errno.EACCES: "not for this account. Name a --port from 1024 on, and put a reverse proxy before it.",
        errno.EADDRNOTAVAIL: "no address of this machine. Name one with --host.",
    }
    said = f"{os.strerror(error.errno or 0)}. Name another --host or --port."
    return reasons.get(error.errno or 0, said)
