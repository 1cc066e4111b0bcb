"""The nouns that every room shares, as frozen values without behaviour of their own.

They live below all six steps of the pipeline, so that a step can hand its result to the next one
without knowing it (docs/ARCHITECTURE.md).
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from attrs import field, frozen
from twisted.internet.defer import CancelledError

from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.limits import NOTHING_SET, Grant, Limits

CLIENT_CLOSED = 499
"""The status that the record gives to an answer nobody waited for, as nginx does."""


class Scope(Enum):
    """What a key may be used for (SPEC 5)."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    RAW = "raw"


class Status(Enum):
    """The state of a tenant or a key; a tenant is never `revoked` (SPEC 12)."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


@frozen(kw_only=True)
class KeyRecord:
    """One credential with its key and tenant, read in one snapshot (SPEC 5).

    `epoch` is the tenant's at that snapshot. `expires_at` is in seconds since 1970: the earlier of
    the key's and the credential's. A key's own `models` or `allow_all_models` of None means "the
    tenant's". With `prompt_logging` the text of its calls is kept, sealed (SPEC 9). Limits are
    those set at each level (SPEC 7).
    """

    tenant_id: UUID
    tenant_status: Status
    tenant_allow_all_models: bool
    tenant_models: frozenset[str]
    key_id: UUID
    key_status: Status
    key_allow_all_models: bool | None
    key_models: frozenset[str] | None
    prefix: str
    secret_hash: str = field(repr=False)
    scopes: frozenset[Scope]
    expires_at: float | None
    epoch: int
    prompt_logging: bool = False
    tenant_limits: Limits = NOTHING_SET
    key_limits: Limits = NOTHING_SET


@frozen(kw_only=True)
class Principal:
    """Who is calling and what they may use, as of the tenant's `epoch` (SPEC 5, 6).

    `tenant` and `key` are the ids as text, made once: every call is recorded under them.
    """

    tenant_id: UUID
    key_id: UUID
    tenant: str = field(init=False, eq=False, repr=False)
    key: str = field(init=False, eq=False, repr=False)
    prefix: str
    scopes: frozenset[Scope]
    allow_all_models: bool
    models: frozenset[str]
    expires_at: float | None
    epoch: int
    prompt_logging: bool = False
    tenant_limits: Limits = NOTHING_SET
    key_limits: Limits = NOTHING_SET

    @tenant.default
    def _tenant_as_text(self) -> str:
        return str(self.tenant_id)

    @key.default
    def _key_as_text(self) -> str:
        return str(self.key_id)


@frozen(kw_only=True)
class CachedPrincipal:
    """A principal with the SHA-256 of the key that proved it."""

    digest: bytes = field(repr=False)
    principal: Principal


@frozen(kw_only=True)
class ModelInfo:
    """One installed model as discovery knows it (SPEC 6).

    `name` is the canonical one. `listing` holds the fields of `/api/tags`, with the name as Ollama
    writes it, `details` those of `/api/show` that a tenant may see. `backends` are the names of
    those that have it, in order.
    """

    name: str
    listing: Mapping[str, Any]
    details: Mapping[str, Any]
    backends: tuple[str, ...]


@frozen(kw_only=True)
class NativeRequest:
    """A client's request, rewritten from checked fields as a native Ollama one (SPEC 2, R4).

    `path` is a constant of ours. `body` is what goes upstream, without `model` and `stream`, which
    `upstream` sets. `stream` is what the client asked for. `ignored` names the fields that were
    dropped. `prompt_bytes` is the UTF-8 length of all text and `images` how many there are, for the
    estimate of the prompt. `predict_name` is the client's own name for `num_predict`, None where he
    has set none. `is_whole` says that the model host answers with one object (embeddings), and
    `as_base64` that the client wants its vectors so. `echo` is what the answer repeats of the
    request, in dialects that do.
    """

    path: str
    model: str
    body: Mapping[str, Any] = field(repr=False)
    stream: bool
    include_usage: bool = False
    ignored: tuple[str, ...] = ()
    prompt_bytes: int = 0
    images: int = 0
    predict_name: str | None = None
    is_whole: bool = False
    as_base64: bool = False
    echo: Mapping[str, Any] | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Arrival:
    """What is known of a request before anything is decided.

    `id` is ours (UUIDv7), `client_id` the caller's own word, a key of nothing. `received` is on
    the reactor's clock, in seconds; `at` is the same moment in microseconds since 1970.
    `principal` is None until the caller is known.
    """

    id: str
    client_id: str | None
    address: str
    user_agent: str
    route: str
    received: float
    at: int
    principal: Principal | None = None

    def of(self, principal: Principal) -> "Arrival":
        """Give the same, from a caller who is known; `attrs.evolve` costs twice as much."""
        return Arrival(
            id=self.id,
            client_id=self.client_id,
            address=self.address,
            user_agent=self.user_agent,
            route=self.route,
            received=self.received,
            at=self.at,
            principal=principal,
        )


@frozen(kw_only=True)
class Call:
    """A request whose caller is known: what the edge hands to the pipeline."""

    arrival: Arrival
    principal: Principal
    dialect: str
    scope: Scope
    request: NativeRequest

    @property
    def id(self) -> str:
        """Our id of the request."""
        return self.arrival.id


class AuditSlot(Protocol):
    """The place of an admitted call in the spool (SPEC 9); here, since a ticket holds one."""

    @property
    def tokens(self) -> int | None:
        """What was reserved last, None while that is what the intent says."""
        ...

    def extend(self, tokens: int) -> None:
        """Reserve `tokens` in all from now on, in the place of what was reserved before."""
        ...

    def complete(self, record: bytes) -> None:
        """Write the final record. Called exactly once, and never fails."""
        ...


@frozen(kw_only=True)
class Ticket:
    """The permission to run one call: who, which model, on which backends, how much (SPEC 5-7).

    `slot` is where its record goes, and where its intent is already. `intent` has the fields of
    that, which the record shares.
    """

    call: Call
    principal: Principal
    model: ModelInfo
    grant: Grant
    slot: AuditSlot
    intent: Mapping[str, str | int | float | bool | None]


@frozen(kw_only=True)
class Usage:
    """Tokens of one answer; `estimated` where the model host gave no counts (SPEC 7)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False


class End(Enum):
    """How a call ended; the first two words of the record's outcome (SPEC 9)."""

    COMPLETE = "ok"
    CUT = "cut"
    CUT_BY_BUDGET = "cut/budget"
    CUT_WITHOUT_LIMITS = "cut/limits"
    CLIENT_GONE = "client_abort"
    CLIENT_STALLED = "client_abort/stalled"
    UPSTREAM_LOST = "upstream_error/lost"
    UPSTREAM_IDLE = "upstream_error/idle"
    UPSTREAM_ERROR = "upstream_error"
    REFUSED = "refused"
    FAILED = "unknown"

    @classmethod
    def of(cls, error: BaseException) -> "End":
        """The end that an exception on the way means."""
        if isinstance(error, CancelledError):
            return cls.CLIENT_GONE
        if isinstance(error, Refusal):
            return cls.REFUSED
        return cls.FAILED


@frozen(kw_only=True)
class Outcome:
    """What became of one call: its end, what it cost, and when. Times are in seconds.

    `word` is what the record says (SPEC 9). `first_byte_after` counts from the call's arrival.
    `answer` is what the client was told, as JSON, for the prompt log of a key that has one.
    """

    end: End
    word: str
    status: int
    usage: Usage = Usage()
    bytes_sent: int = 0
    first_byte_after: float | None = None
    backend: str | None = None
    answer: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, error: BaseException, usage: Usage, backend: str | None) -> "Outcome":
        """The outcome of a call that an exception ended before its first frame."""
        end = End.of(error)
        word, status = end.value, CLIENT_CLOSED if end is End.CLIENT_GONE else 500
        if isinstance(error, Refusal):
            word, status = error.outcome, error.status
        return cls(end=end, word=word, status=status, usage=usage, backend=backend)
