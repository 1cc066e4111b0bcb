"""How long a connection lasts (RFC 9112 9.3 and 9.6), and that nothing upgrades it."""

from tests.wire.entry import (
    AUTH,
    HOST,
    STREAMED,
    TAGS,
    Ends,
    Entry,
    answered,
    chat,
    listed,
    refused,
    request,
    tags,
)

_CLOSE = "RFC 9112 9.6"
_STAY = "RFC 9112 9.3"
_UPGRADE = "RFC 9110 7.8"


def _closes(name: str, *fields: bytes) -> Entry:
    return Entry(name=name, rule=_CLOSE, raw=tags(*fields), wants=(listed(),), ends=Ends.CLOSES)


def _stays(name: str, *fields: bytes, rule: str = _STAY) -> Entry:
    return Entry(name=name, rule=rule, raw=tags(*fields), wants=(listed(),))


ENTRIES = (
    _stays("1.1 stays"),
    _stays("keep-alive stays", b"Connection: keep-alive"),
    _stays("an empty Connection stays", b"Connection:"),
    _stays("closed is not close", b"Connection: closed"),
    _stays("a quoted close is not close", b'Connection: "close"'),
    _stays("Keep-Alive is ignored", b"Keep-Alive: timeout=1, max=1"),
    _stays("Proxy-Connection is ignored", b"Proxy-Connection: close"),
    _closes("close", b"Connection: close"),
    _closes("Close", b"Connection: Close"),
    _closes("CLOSE without a space", b"Connection:CLOSE"),
    _closes("close last in a list", b"Connection: foo, close"),
    _closes("close first in a list", b"Connection: close,foo"),
    _closes("close between empty members", b"Connection: , close ,"),
    _closes("close on a second line", b"Connection: keep-alive", b"Connection: close"),
    Entry(
        name="close after a refusal",
        rule=_CLOSE,
        raw=request(TAGS, HOST, b"Connection: close"),
        wants=(refused(401, "GET /api/tags"),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="close after a stream",
        rule=_CLOSE,
        raw=chat(b"Connection: close", body=STREAMED),
        wants=(answered(),),
        ends=Ends.CLOSES,
        streams=True,
    ),
    Entry(
        name="close after HEAD",
        rule=_CLOSE,
        raw=request(b"HEAD /api/tags HTTP/1.1", HOST, AUTH, b"Connection: close"),
        wants=(listed(route="HEAD /api/tags", head=True),),
        ends=Ends.CLOSES,
    ),
    _stays("an upgrade to h2c", b"Connection: Upgrade", b"Upgrade: h2c", rule=_UPGRADE),
    _stays(
        "an upgrade to h2c with settings",
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        rule=_UPGRADE,
    ),
    _stays(
        "an upgrade to websocket",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        rule=_UPGRADE,
    ),
    Entry(
        name="a request behind an upgrade",
        rule=_UPGRADE,
        raw=tags(b"Connection: Upgrade", b"Upgrade: websocket") + tags(),
        wants=(listed(), listed()),
    ),
    Entry(
        name="a chat with an upgrade",
        rule=_UPGRADE,
        raw=chat(b"Connection: Upgrade", b"Upgrade: h2c") + tags(),
        wants=(answered(), listed()),
    ),
)
