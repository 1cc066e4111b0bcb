"""Every entry over real sockets against a gateway process, with what it and its host noted."""

from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import marker, shared_stack
from tests.wire.corpus import entries
from tests.wire.entry import Entry
from tests.wire.record import Record
from tests.wire.segments import at_random, byte_by_byte, whole
from tests.wire.verdict import Seen, judge
from tests.wire.wires import send_entry


class SocketTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway and a key."""
        self.stack = shared_stack()
        self.key = self.stack.new_key().encode()

    def agree(self, cut: Callable[[Entry], Sequence[bytes]]) -> None:
        """Every entry comes out as it is wanted, and was seen as often as it is wanted."""
        record = Record(self.stack)
        faults: list[str] = []
        seen: list[Seen] = []
        prompts: dict[str, int] = {}
        for placeholders in entries():
            if placeholders.waits_s:
                continue
            word = marker()
            entry = placeholders.with_secrets(self.key, word.encode())
            try:
                verdict = judge(entry, send_entry(self.stack.port, entry, cut(entry)))
            except TimeoutError:
                faults.append(f"{entry.name} ({entry.rule}): no answer or no end")
                continue
            faults += verdict.faults
            seen += verdict.seen
            prompts[word] = sum(one.calls for one in verdict.seen)
        faults += record.faults(seen, prompts)
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    def test_whole(self) -> None:
        """Each entry in one piece."""
        self.agree(lambda entry: whole(entry.raw))

    def test_byte_by_byte(self) -> None:
        """Each entry a byte at a time."""
        self.agree(lambda entry: byte_by_byte(entry.raw))

    def test_at_random(self) -> None:
        """Each entry cut at places that do not mean anything."""
        self.agree(at_random)
