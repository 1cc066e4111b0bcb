"""The doors: every route is one of four kinds, so that none can forget who is calling.

`public` needs no key, `reading` answers from what the gateway knows, `asking` from what the
database knows, `running` hands a call to the pipeline. The order of checks is SPEC 8's: identity,
then path and method, then headers, then body. While no record can be kept, only `public` answers
(SPEC 9).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from os import urandom
from typing import Protocol

from attrs import Factory, define, field, frozen
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.admission.admit import Admission
from neuronetz_twisted.admission.allowance import Allowance, Defaults, allowance_of
from neuronetz_twisted.admission.credentials import bearer_of
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.dialects.writers import Writer
from neuronetz_twisted.edge.address import bucket_key
from neuronetz_twisted.edge.answers import HttpAnswer
from neuronetz_twisted.edge.bodies import check_announced
from neuronetz_twisted.edge.request import ROUTES, UNKNOWN_PATH, GatewayRequest
from neuronetz_twisted.edge.request_ids import client_request_id, new_request_id
from neuronetz_twisted.edge.visits import Visit
from neuronetz_twisted.errors import (
    Draining,
    InternalError,
    InvalidApiKey,
    LimitsUnavailable,
    MethodNotAllowed,
    NotAllowed,
    Refusal,
)
from neuronetz_twisted.pipeline import Pipeline
from neuronetz_twisted.seams import AuditTrail
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.vocabulary import Arrival, Call, NativeRequest, Principal, Scope, Ticket

_log = Logger()

POST, GET, GET_HEAD = ("POST",), ("GET",), ("GET", "HEAD")
JSON = b"application/json"

_SHOWS_NOTHING = (LimitsUnavailable, InvalidApiKey)
"""Refusals without a caller's limits: Redis is away, or the key is good no more (SPEC 8)."""

_MODEL_ROUTE = "/v1/models/{id}"
_ROUTE_NAMES = {UNKNOWN_PATH: "-", **{path: path.decode("ascii") for path in ROUTES}}


class WriterOf(Protocol):
    """Makes the writer of one answer."""

    def __call__(self, ticket: Ticket, now: float) -> Writer:
        """A new writer."""
        ...


Parse = Callable[[bytes, int], NativeRequest]
"""Reads a body; takes the most tokens that may be asked for. Raises `InvalidRequest`."""


@frozen(kw_only=True)
class Surface:
    """How one generation route reads a body and writes an answer.

    `writer` takes the ticket and
    the time of the request's arrival, in seconds since 1970.
    """

    dialect: str
    scope: Scope
    parse: Parse
    writer: WriterOf


Page = Callable[[GatewayRequest], tuple[int, bytes, bytes]]
"""Status, content type and body of an answer that needs no key."""

View = Callable[[Principal, bytes], bytes]
"""A JSON answer made from the caller and the request's body; may raise a `Refusal`."""

Question = Callable[[Principal], Awaitable[bytes]]
"""A JSON answer about the caller that has to be waited for; may raise a `Refusal`."""


@define(kw_only=True)
class Doors:
    """The four kinds of doors.

    `client_address` finds the caller's address (SPEC 5) from the peer's, empty where it has none,
    and the values of `X-Forwarded-For`.
    """

    clock: IReactorTime
    now: Callable[[], float]
    client_address: Callable[[str, Sequence[bytes]], str]
    request_id_header: bytes
    defaults: Defaults
    identifier: Identifier
    admission: Admission
    pipeline: Pipeline
    settlement: Settlement
    trail: AuditTrail
    _client_id_field: bytes = field(
        default=Factory(lambda self: self.request_id_header.lower(), takes_self=True), init=False
    )

    async def public(self, request: GatewayRequest, methods: tuple[str, ...], page: Page) -> None:
        """Answer without a key."""
        visit = self._arrive(request)
        try:
            _check_method(request, methods)
            visit.answer.whole(*page(request))
        except MethodNotAllowed as refusal:
            visit.answer.refuse(refusal)

    def reading(
        self, request: GatewayRequest, methods: tuple[str, ...], view: View
    ) -> Awaitable[None]:
        """Answer from what the gateway knows, without a call to a model host."""

        async def read(visit: Visit) -> None:
            allowed = self._allowed(visit)
            sent = await request.body(allowed.max_body_bytes) if methods == POST else b""
            self._give(visit, view(await self._counted(visit), sent))

        return self._enter(request, methods, read)

    def asking(
        self, request: GatewayRequest, methods: tuple[str, ...], ask: Question
    ) -> Awaitable[None]:
        """Answer from what the database knows."""

        async def wait(visit: Visit) -> None:
            self._allowed(visit)
            self._give(visit, await ask(await self._counted(visit)))

        return self._enter(request, methods, wait)

    def running(self, request: GatewayRequest, surface: Surface) -> Awaitable[None]:
        """Hand a call to the pipeline."""

        async def run(visit: Visit) -> None:
            allowed = self._allowed(visit)
            body = await request.body(allowed.max_body_bytes)
            native = surface.parse(body, allowed.max_predict)
            visit.name_ignored(native)
            call = Call(
                arrival=visit.arrival,
                principal=visit.principal,
                dialect=surface.dialect,
                scope=surface.scope,
                request=native,
            )
            writer_of = partial(surface.writer, now=self.now())
            await self.pipeline.run(call, visit.answer, writer_of, visit.admitted)

        return self._enter(request, POST, run)

    def unknown(self, request: GatewayRequest) -> Awaitable[None]:
        """Refuse a path that is not in the table, to those who have a key (SPEC 3)."""

        async def refuse(_: Visit) -> None:
            raise NotAllowed(why="path")

        # `OPTIONS *` asks for nothing but whether somebody is there (RFC 9110 9.3.7).
        ping = (request.method, request.asked_path) == (b"OPTIONS", b"*")
        return self._enter(request, (_method(request),), refuse, exempt=ping)

    async def _enter(
        self,
        request: GatewayRequest,
        methods: tuple[str, ...],
        handle: Callable[[Visit], Awaitable[None]],
        *,
        exempt: bool = False,
    ) -> None:
        visit = self._arrive(request)
        try:
            try:
                if not exempt:
                    self.trail.check()
                await self._identify(visit)
                _check_method(request, methods)
                await handle(visit)
            except Refusal as refusal:
                self.settlement.refused(visit.arrival, refusal)
                visit.keep_record()
                await self._show_limits(visit, refusal)
                visit.answer.refuse(refusal)
            except CancelledError:
                self._cancelled(visit)
        except Exception:  # noqa: BLE001 - the edge's outermost wall
            _log.failure("a request failed", request_id=visit.arrival.id)
            visit.answer.refuse(InternalError())
            visit.answer.break_off()
            if not visit.is_on_record:
                self.settlement.refused(visit.arrival, InternalError())

    def _give(self, visit: Visit, body: bytes) -> None:
        """Answer, once that is on record."""
        self.settlement.answered(visit.arrival, len(body))
        visit.keep_record()
        visit.answer.answer(JSON, body)

    def _cancelled(self, visit: Visit) -> None:
        """The client has gone; or it is still there, and the gateway stops."""
        if visit.request.gone:
            self.settlement.left(visit.arrival)
            return
        draining = Draining()
        self.settlement.refused(visit.arrival, draining)
        visit.answer.refuse(draining)

    async def _counted(self, visit: Visit) -> Principal:
        """The caller as of now, whose list or page is counted."""
        current, fields = await self.admission.counted(visit.principal)
        visit.show(fields)
        return current

    async def _show_limits(self, visit: Visit, refusal: Refusal) -> None:
        """Put into a refusal what every answer to a known caller shows (SPEC 7).

        All refusals show the window of calls, also those of lists: one 403 is as the other.
        """
        who = visit.arrival.principal
        if who is None or refusal.fields or isinstance(refusal, _SHOWS_NOTHING):
            return
        try:
            visit.show(await self.admission.fields(who))
        except CancelledError:
            # It is on record, and refused without them: the client has gone, or the gateway stops.
            return

    def _allowed(self, visit: Visit) -> Allowance:
        """What the caller may use; raises the refusal of a head that announces another body."""
        allowance = allowance_of(visit.principal, self.defaults)
        check_announced(visit.request.head, allowance.max_body_bytes)
        return allowance

    async def _identify(self, visit: Visit) -> None:
        fields = visit.request.head.fields
        credential = bearer_of(
            _joined(fields.get(b"authorization")), _joined(fields.get(b"x-api-key"))
        )
        bucket = bucket_key(visit.arrival.address)
        principal = await self.identifier.identify(credential, bucket)
        visit.arrival = visit.arrival.of(principal)

    def refuse(self, request: GatewayRequest, refusal: Refusal) -> None:
        """Answer and record what is no request."""
        visit = self._arrive(request)
        self.settlement.refused(visit.arrival, refusal)
        visit.answer.refuse(refusal)

    def _arrive(self, request: GatewayRequest) -> Visit:
        now = self.now()
        request_id = new_request_id(now, urandom(10))
        client_id = client_request_id(request.field(self._client_id_field))
        answer = HttpAnswer(request, request_id)
        answer.headers[self.request_id_header] = request_id.encode("ascii")
        if client_id is not None:
            answer.headers[b"X-Client-Request-ID"] = client_id.encode("ascii")
        arrival = Arrival(
            id=request_id,
            client_id=client_id,
            address=self.client_address(
                request.channel.caller_host, request.head.fields.get(b"x-forwarded-for", ())
            ),
            user_agent=(request.field(b"user-agent") or b"").decode("utf-8", "replace"),
            route=f"{_method(request)} {_ROUTE_NAMES.get(request.path, _MODEL_ROUTE)}",
            received=self.clock.seconds(),
            at=int(now * 1_000_000),
        )
        return Visit(request, answer, arrival)


def _method(request: GatewayRequest) -> str:
    return request.method.decode("ascii", "replace")[:16]


def _check_method(request: GatewayRequest, methods: Sequence[str]) -> None:
    if _method(request) not in methods:
        raise MethodNotAllowed(allow=", ".join(methods))


def _joined(values: Sequence[bytes] | None) -> bytes | None:
    """Two fields of one name are one value with a comma (RFC 9110 5.3), so never a credential."""
    return None if values is None else b", ".join(values)
