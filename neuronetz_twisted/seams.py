"""What is plugged into the gateway from outside, as protocols.

The rooms of the pipeline know only these; `stores` and `testing` implement them, `service.py`
joins both. Deferreds are the border: each fires with its value or with the `Unavailable` named.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from typing import Any, Protocol
from uuid import UUID

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer

from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.limits import SetLimits
from neuronetz_twisted.vocabulary import (
    AuditSlot,
    CachedPrincipal,
    KeyRecord,
    ModelInfo,
    Outcome,
    Principal,
    Ticket,
)


class KeyStore(Protocol):
    """Credentials in PostgreSQL. Every method may fail with `DatabaseUnavailable`."""

    def find(self, prefix: str) -> Deferred[KeyRecord | None]:
        """The credential with this 12-character prefix, joined with key and tenant."""
        ...

    def used(self, prefix: str, *, rehashed: str | None) -> Deferred[None]:
        """Note that a credential was verified just now; `rehashed` replaces its argon2 hash."""
        ...

    def usable(self, key_ids: Sequence[UUID]) -> Deferred[Mapping[UUID, SetLimits]]:
        """Those of the keys that are active, unexpired, and of an active tenant, as of now.

        With each comes what is set for it.
        """
        ...


class UsageStore(Protocol):
    """The ledger in PostgreSQL, as callers see it. May fail with `DatabaseUnavailable`."""

    def own(self, principal: Principal) -> Deferred[Mapping[str, Any]]:
        """What a caller's key and tenant have used, as plain values of JSON (SPEC 3)."""
        ...


class PrincipalCache(Protocol):
    """Verified principals in Redis, shared by all (SPEC 5). May fail with `RedisUnavailable`."""

    def get(self, prefix: str) -> Deferred[tuple[CachedPrincipal, float] | None]:
        """The entry and the seconds it has left to live."""
        ...

    def put(self, prefix: str, entry: CachedPrincipal, ttl_s: float) -> Deferred[None]:
        """Keep an entry for `ttl_s` seconds from now."""
        ...

    def drop(self, prefix: str) -> Deferred[None]:
        """Forget the entry."""
        ...


class Catalog(Protocol):
    """The installed models, as discovery last saw them."""

    def models(self) -> Mapping[str, ModelInfo]:
        """By canonical name. Raises `ModelsUnavailable` where the list is too old (SPEC 6)."""
        ...


class CatalogStore(Protocol):
    """The last good catalogue in Redis, for a process that starts while Ollama is away."""

    def load(self) -> Deferred[tuple[Sequence[ModelInfo], float] | None]:
        """The models and the seconds that the list has left to live."""
        ...

    def save(self, models: Sequence[ModelInfo], ttl_s: float) -> Deferred[None]:
        """Keep the list for `ttl_s` seconds."""
        ...


class FrameReceiver(Protocol):
    """Who reads a native stream: complete lines, then exactly one end."""

    def framesReceived(self, lines: Sequence[bytes]) -> None:
        """Take the lines of one read, without their line feeds."""
        ...

    def streamEnded(self, *, clean: bool) -> None:
        """The body is over; `clean` if its framing said so, else the connection was lost."""
        ...

    def streamBroken(self) -> None:
        """The body is no stream of lines: one is over the limit. The stream is already stopped."""
        ...


class NativeStream(Protocol):
    """An answer of Ollama whose first frame has arrived; held back until it is attached."""

    backend: str

    def attach(self, receiver: FrameReceiver) -> None:
        """Deliver the held lines and all that follow."""
        ...

    def pause(self) -> None:
        """Stop reading from the model host."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def stop(self) -> None:
        """Close the connection to the model host at once. The receiver hears nothing more."""
        ...

    def finish(self) -> None:
        """Let go behind the final frame: kept if the answer ends soon. No more is heard of it."""
        ...


class Opening(Protocol):
    """A call whose stream is being opened, as far as an upstream knows it."""

    def sent(self, backend: str) -> None:
        """Note that the request has gone to a backend."""
        ...

    def on_cut(self, cut: Callable[[Refusal], None]) -> None:
        """Say how the call is cut from now on. Raises the refusal of one that was cut before."""
        ...


class Upstream(Protocol):
    """Where answers come from."""

    def check(self) -> None:
        """Raise `UpstreamBusy` where a call would be turned away at once: it needs no ticket."""
        ...

    async def open(self, ticket: Ticket, opening: Opening) -> NativeStream:
        """Ask a backend and wait for its first frame, telling `opening` of each backend asked.

        Raises the `Refusal` of SPEC 6, or that of a cut. That or a cancel closes the connection.
        """
        ...


class Client(Protocol):
    """The answering half of one request: what the relay writes to.

    Exactly one of `answer`, `refuse`, `complete`, `break_off` and `abort` ends it; `begin` and
    `write` come before `complete`, `break_off` and `abort` only. After the client has gone, every
    method does nothing.
    """

    def begin(self, content_type: bytes) -> None:
        """Send the head of a streamed 200 answer."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes of a streamed answer."""
        ...

    def register(self, producer: IPushProducer) -> None:
        """Have `producer` paused while the client reads too slowly, stopped when it goes."""
        ...

    def unregister(self) -> None:
        """End that."""
        ...

    def answer(self, content_type: bytes, body: bytes) -> None:
        """Send a whole 200 answer."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal as the whole answer."""
        ...

    def complete(self, last: bytes) -> None:
        """End a streamed answer truthfully, with its last bytes."""
        ...

    def break_off(self) -> None:
        """Let what was written be read, then close without an end of the answer (SPEC 8)."""
        ...

    def abort(self) -> None:
        """Close at once: the client has stopped reading."""
        ...


class AuditTrail(Protocol):
    """The spool: what is appended to it survives this process (SPEC 9)."""

    @property
    def denies(self) -> str | None:
        """Why nothing is admitted now, in one word; None where all is well."""
        ...

    def check(self) -> None:
        """Raise `AuditUnavailable` while nothing is admitted."""
        ...

    def open(self, request_id: str, intent: bytes) -> AuditSlot:
        """Append the intent of a call, whose id is a UUID as text. May raise `AuditUnavailable`."""
        ...

    def committed(self) -> Deferred[None] | None:
        """None where all that was appended is as durable as AUDIT_DURABILITY asks, else when it is.

        May fail with `AuditUnavailable`. Each call has a Deferred of its own, to be cancelled.
        """
        ...

    def note(self, record: bytes) -> bool:
        """Append the record of a request that was not admitted; False where it cannot be kept."""
        ...


class AuditSink(Protocol):
    """Where operators read the record. Synchronous: it never fails and never waits."""

    def record(self, event: dict[str, str | int | float | bool | None]) -> None:
        """Keep one event."""
        ...


class PromptSink(Protocol):
    """Where the text of a call goes whose key asks for it. It never fails and never waits."""

    def keep(self, ticket: Ticket, outcome: Outcome) -> str:
        """Take what was said; gives the word for the call's record, `kept` or `dropped`."""
        ...


EpochListener = Callable[[UUID, int], None]
"""Called with a tenant's id and its new epoch, from the revocation listener."""

RedisArgument = bytes | str | int
"""What a call to Redis may carry: bytes as they are, text as UTF-8, whole numbers in decimal."""

RedisReply = int | bytes | list[Any] | None
"""One reply of Redis, as it came over the wire: nothing is decoded or made a number."""


@frozen
class Script:
    """A Lua script that Redis runs as one indivisible step (SPEC 7).

    `digest` is the name under which Redis keeps it: SHA-1 by Redis' choice, no secret hangs on it.
    """

    name: str
    source: bytes = field(repr=False)
    digest: str = field(init=False, repr=False)

    @digest.default
    def _digest_of_source(self) -> str:
        return sha1(self.source, usedforsecurity=False).hexdigest()


class ScriptRunner(Protocol):
    """Who runs scripts in Redis. May fail with `RedisUnavailable`."""

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Run the script; every key that it touches is in `keys`, all of one tenant."""
        ...
