"""A request as twisted.web hands it over, kept within bounds.

Stock twisted.web writes bodies to temporary files, routes on unquoted paths and believes any
`Host`. Here a body stays in memory up to its limit, and a path that is not literally in the table
of routes is the one unknown path (SPEC 3).
"""

import re
from io import BytesIO
from typing import Any, Protocol, cast
from urllib.parse import unquote_to_bytes

from twisted.web.server import Request

UNKNOWN_PATH = b"/unknown"
MODEL_PATH = b"/v1/models/"
_MODEL_ID = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
ROUTES = frozenset(
    {
        b"/",
        b"/healthz",
        b"/readyz",
        b"/api/chat",
        b"/api/generate",
        b"/api/tags",
        b"/api/show",
        b"/api/version",
        b"/v1/chat/completions",
        b"/v1/models",
    }
)


class BoundedSite(Protocol):
    """What a request asks its site."""

    max_body_bytes: int


def routed_path(path: bytes) -> bytes:
    """The path that is looked up: itself if it is one of ours to the letter, else the unknown one.

    Only the tail of a model's path may be percent-encoded; decoded once, it must be made of the
    characters that a model's name can have.
    """
    if path in ROUTES:
        return path
    head, _, tail = path.partition(MODEL_PATH)
    if head == b"" and _MODEL_ID.fullmatch(unquote_to_bytes(tail)):
        return path
    return UNKNOWN_PATH


class GatewayRequest(Request):
    """One request. `asked_path` is the path as the client wrote it."""

    asked_path: bytes = b""
    body_size: int = 0

    @property
    def body_limit(self) -> int:
        """The largest body that is kept, in bytes."""
        return cast("BoundedSite", self.channel.factory).max_body_bytes

    def gotLength(self, length: int | None) -> None:
        """The head is complete: the body goes to memory, never to a file."""
        del length
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep the body up to its limit, count it beyond."""
        self.body_size += len(data)
        if self.body_size <= self.body_limit and self.content is not None:
            self.content.write(data)

    def process(self) -> Any:
        """Route on the path to the letter."""
        self.asked_path = self.path
        self.path = routed_path(self.path)
        return super().process()

    def getRequestHostname(self) -> bytes:
        """A constant: werkzeug would refuse some hosts outside of our error handling."""
        return b"gateway"
