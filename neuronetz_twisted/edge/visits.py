"""One request on its way through a door: who makes it, its answer, and whether it is on record."""

from attrs import define

from neuronetz_twisted.admission.headers import Fields
from neuronetz_twisted.dialects.fields import ignored_header
from neuronetz_twisted.edge.answers import HttpAnswer
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.errors import InvalidApiKey
from neuronetz_twisted.vocabulary import Arrival, NativeRequest, Principal, Ticket


@define
class Visit:
    """One request at a door, and who makes it once that is known."""

    request: GatewayRequest
    answer: HttpAnswer
    arrival: Arrival
    is_on_record: bool = False

    def keep_record(self) -> None:
        """Note that the request has its record, or will have it, wherever it ends."""
        self.is_on_record = True

    def admitted(self, ticket: Ticket) -> None:
        """Note a call's admission: its record is kept from now on, its limits are shown."""
        self.keep_record()
        self.show(ticket.grant.fields)
        self.name_ignored(ticket.call.request)

    def show(self, fields: Fields) -> None:
        """Show the caller what he has left of his limits."""
        self.answer.headers.update(fields)

    def name_ignored(self, native: NativeRequest) -> None:
        """Tell the client which of his fields were dropped or lowered (SPEC 4)."""
        if native.ignored:
            header = ignored_header(native.ignored)
            self.answer.headers[b"X-Gateway-Ignored"] = header.encode("ascii")

    @property
    def principal(self) -> Principal:
        """The caller; only asked for behind the identity check."""
        if self.arrival.principal is None:
            raise InvalidApiKey(why="none")
        return self.arrival.principal
