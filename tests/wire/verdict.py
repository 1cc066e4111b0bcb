"""Whether what came is what an entry wants: each disagreement as one line of text."""

import json
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from tests.wire.entry import NO_REQUEST, Ends, Entry, Interim, Want
from tests.wire.responses import NotExact, Response, read_responses

_CONTINUE = 100
_FIRST_ERROR = 400


@frozen(kw_only=True)
class Came:
    """What came of one entry on one connection; `closed` by the gateway and not by the client."""

    data: bytes
    closed: bool
    reset: bool = False


@frozen(kw_only=True)
class Seen:
    """What the record must say of one answer; nothing, where `route` is None."""

    request_id: str
    route: str | None
    status: int
    calls: int


@frozen(kw_only=True)
class Verdict:
    """The disagreements, and what the gateway must have seen."""

    faults: tuple[str, ...]
    seen: tuple[Seen, ...]


def judge(entry: Entry, came: Came) -> Verdict:
    """Compare what came with what the entry wants."""
    try:
        heads = [want.head for want in entry.wants]
        responses = read_responses(came.data, heads, closed=came.closed)
    except NotExact as error:
        return Verdict(faults=(f"{entry.name}: {error}",), seen=())
    answers = [response for response in responses if response.status != _CONTINUE]
    faults = [*_counted(entry, answers, closed=came.closed), *_interims(entry, responses)]
    for want, answer in zip(entry.wants, answers, strict=False):
        faults += _compared(want, answer)
    if came.reset:
        faults.append("the connection was reset")
    if answers and came.closed:
        faults += _farewell(entry, answers[-1])
    return Verdict(
        faults=tuple(f"{entry.name} ({entry.rule}): {fault}" for fault in faults),
        seen=tuple(_seen(want, got) for want, got in zip(entry.wants, answers, strict=False)),
    )


def _counted(entry: Entry, answers: Sequence[Response], *, closed: bool) -> Iterator[str]:
    statuses = [answer.status for answer in answers]
    wanted = [want.status for want in entry.wants]
    cut_short = entry.ends is Ends.EITHER and closed and bool(statuses)
    if statuses != (wanted[: len(statuses)] if cut_short else wanted):
        yield f"answered {statuses}, wanted {wanted}: {[answer.body[:200] for answer in answers]}"
    if entry.ends is Ends.CLOSES and not closed:
        yield "the connection stays open"
    if entry.ends is Ends.STAYS and closed:
        yield "the connection was closed"


def _interims(entry: Entry, responses: Sequence[Response]) -> Iterator[str]:
    """Each `100 Continue` stands before the answer that it belongs to, once."""
    waiting = 0
    wants = iter(entry.wants)
    for response in responses:
        if response.status == _CONTINUE:
            waiting += 1
            continue
        want = next(wants, None)
        if want is None:
            return
        allowed = {Interim.NEVER: {0}, Interim.ALWAYS: {1}, Interim.MAYBE: {0, 1}}[want.interim]
        if waiting not in allowed:
            yield f"{waiting} times 100 Continue before {want.status}"
        waiting = 0
    if waiting:
        yield "100 Continue without an answer"


def _compared(want: Want, answer: Response) -> Iterator[str]:
    if not answer.whole:
        yield f"an answer in parts: {answer.body[-100:]!r}"
    for name, value in want.fields:
        if answer.fields.get(name) != value:
            yield f"{name} is {answer.fields.get(name)!r}, wanted {value!r}"
    if want.status >= _FIRST_ERROR and not want.head:
        yield from _error_form(want, answer)
    if want.head and answer.fields.get("content-length", "0") == "0":
        yield f"HEAD without the length of the answer to GET: {answer.fields}"


def _error_form(want: Want, answer: Response) -> Iterator[str]:
    """The form of SPEC 8: JSON in the dialect of the path, with code and id."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        yield f"an error that is no JSON: {answer.body!r}"
        return
    if answer.fields["content-type"] != "application/json":
        yield f"an error of type {answer.fields['content-type']}"
    inner = body.get("error") if want.openai else body
    if not isinstance(inner, dict) or not isinstance(
        inner.get("message" if want.openai else "error"), str
    ):
        yield f"an error of the other form: {answer.body!r}"
        return
    if inner.get("code") != want.code:
        yield f"code {inner.get('code')}, wanted {want.code}: {answer.body!r}"
    if inner.get("request_id") != answer.fields["x-request-id"]:
        yield f"an error without its id: {answer.body!r}"


def _farewell(entry: Entry, last: Response) -> Iterator[str]:
    """Who closes says so in the last answer (RFC 9112 9.6); in HTTP/1.0 nobody need to."""
    if b" HTTP/1.0\r\n" not in entry.raw and last.fields.get("connection") != "close":
        yield f"closed without a word: {last.fields}"


def _seen(want: Want, answer: Response) -> Seen:
    return Seen(
        request_id=answer.fields["x-request-id"],
        route=want.route,
        status=answer.status,
        calls=want.calls,
    )


def agreed(seen: Sequence[Seen], recorded: Mapping[str, tuple[str, int]]) -> list[str]:
    """The disagreements between what must be recorded and what is: route and status by id."""
    faults = []
    for one in seen:
        route, status = recorded.get(one.request_id, (None, one.status))
        as_no_request = one.route == NO_REQUEST and (route or "").startswith(f"{NO_REQUEST} ")
        if (route != one.route and not as_no_request) or status != one.status:
            faults.append(f"recorded as {route} {status}, wanted {one.route} {one.status}")
    unknown = recorded.keys() - {one.request_id for one in seen}
    faults += [f"recorded without an answer: {recorded[name]}" for name in sorted(unknown)]
    return faults
