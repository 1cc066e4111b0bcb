"""Clients that send a byte now and then, and clients that send much where nothing is wanted."""

import socket
import time
from contextlib import suppress

from attrs import frozen

from tests.http_client import HOST

INTERVAL_S = 0.4


@frozen
class Ended:
    """How a slow client was answered; `seconds` since its first byte."""

    answer: bytes
    seconds: float


def dribble(port: int, begin: bytes, rest: bytes, patience_s: float) -> Ended:
    """Send `begin`, then `rest` a byte at a time, until the gateway answers."""
    began = time.monotonic()
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(begin)
        connection.settimeout(INTERVAL_S)
        for number in range(len(rest)):
            if time.monotonic() > began + patience_s:
                break
            connection.sendall(rest[number : number + 1])
            try:
                first = connection.recv(65536)
            except TimeoutError:
                continue
            connection.settimeout(patience_s)
            answer = first + (_to_end(connection) if first else b"")
            return Ended(answer, time.monotonic() - began)
    return Ended(b"", time.monotonic() - began)


def send_all_at_once(port: int, head: bytes, size: int) -> bytes:
    """Send a head and a body of `size` bytes without reading, as far as that goes; then read."""
    with socket.create_connection((HOST, port)) as connection:
        connection.settimeout(30.0)
        with suppress(ConnectionError):
            # Where the gateway has closed already, what it said first must be here all the same.
            connection.sendall(head + bytes(size))
        return _to_end(connection)


def _to_end(connection: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not data:
            return received
        received += data
