"""Clients that a test can make rude: they stop reading, hang up, and come by the hundred.

Plain sockets under everything, since a library would hide what is tested: how an answer ends.
"""

import http.client
import json
import selectors
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

from attrs import define, field, frozen

HOST = "127.0.0.1"
TIMEOUT_S = 20.0


@frozen
class Answer:
    """One whole answer; `seconds` from the request's first byte to the answer's last."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def chat(prompt: str, *, model: str = "llama3.2", **fields: object) -> dict[str, object]:
    """The body of an `/api/chat` with one message."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


def ask(  # noqa: PLR0913 - the parts of a request
    port: int,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request on a connection of its own and read the whole answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    began = time.monotonic()
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {**_authorization(key), **(headers or {})})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, content, time.monotonic() - began)


def request_bytes(
    method: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A request as it stands on the wire, closing its connection."""
    data = b"" if body is None else json.dumps(body).encode()
    fields = {
        "Host": HOST,
        "Connection": "close",
        "Content-Length": str(len(data)),
        **_authorization(key),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data


def _authorization(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


class Caller:
    """A client of one request that decides byte by byte what it reads, and when it goes.

    `receive_buffer` bounds, in bytes, what the kernel takes in while nobody reads.
    """

    def __init__(self, port: int, request: bytes, *, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect((HOST, port))
        self._socket.sendall(request)
        self.received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read(self, most: int = 65536) -> bytes:
        """What has arrived, at least a byte; empty at the end."""
        data = self._socket.recv(most)
        self.received += data
        return data

    def read_until(self, text: bytes) -> None:
        """Read until the answer so far holds `text`."""
        while text not in self.received:
            if not self.read():
                raise AssertionError(f"the answer ended: {bytes(self.received[-999:])!r}")

    def read_to_end(self) -> bytearray:
        """All that was received, once the other side has closed; a reset is no plain end."""
        while self.read():
            pass
        return self.received

    def hang_up(self) -> float:
        """Close the connection; gives the wall clock's time of it."""
        now = time.time()
        self._socket.close()
        return now


@define(eq=False)
class _Call:
    """One request of a burst on its way."""

    socket: socket.socket
    unsent: bytes
    received: bytearray = field(factory=bytearray)
    began: float = field(factory=time.monotonic)

    def answer(self) -> Answer:
        """What came, once the other side has closed."""
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in fields)
        found = {name.lower(): value for name, value in headers.items()}
        return Answer(int(status.split()[1]), found, body, time.monotonic() - self.began)


def burst(port: int, requests: Iterable[bytes], within_s: float = TIMEOUT_S) -> list[Answer]:
    """Send all requests at once, on a connection each; the answers in the order of the requests.

    One thread and one selector, so that the times are the gateway's and not those of our threads.
    Fails if one is not answered in time.
    """
    calls: list[_Call] = []
    answers: dict[int, Answer] = {}
    give_up = time.monotonic() + within_s
    with selectors.DefaultSelector() as selector:
        for number, request in enumerate(requests):
            connection = socket.socket()
            connection.settimeout(0)
            connection.connect_ex((HOST, port))
            calls.append(_Call(connection, request))
            selector.register(connection, selectors.EVENT_WRITE, number)
        try:
            while len(answers) < len(calls):
                left = give_up - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(calls) - len(answers)} requests unanswered")
                for ready, _ in selector.select(left):
                    if _advance(selector, calls[ready.data], ready.data):
                        answers[ready.data] = calls[ready.data].answer()
        finally:
            for call in calls:
                call.socket.close()
    return [answers[number] for number in range(len(calls))]


def _advance(selector: selectors.BaseSelector, call: _Call, number: int) -> bool:
    """Do what a ready connection allows; whether its answer is complete."""
    if call.unsent:
        call.unsent = call.unsent[call.socket.send(call.unsent) :]
        if not call.unsent:
            selector.modify(call.socket, selectors.EVENT_READ, number)
        return False
    data = call.socket.recv(65536)
    call.received += data
    if data:
        return False
    selector.unregister(call.socket)
    return True
