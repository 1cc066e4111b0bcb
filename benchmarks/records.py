"""What a record costs by itself: the CPU time of its way from a call into PostgreSQL.

Run as `python -m benchmarks.records`, beside a gateway with an embedded PostgreSQL and in its
environment. The parts are the gateway's own: the spool takes intent and completion, the flusher's
reader reads them back, and its batch writes them, with their ledger and their checkpoints. All runs
in one thread, so the process' CPU time is that of this work and of nothing else.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from neuronetz_twisted.audit.batches import Batch, BatchWriter, Order
from neuronetz_twisted.audit.dead_letters import DeadLetters
from neuronetz_twisted.audit.directory import SpoolLimits
from neuronetz_twisted.audit.event import call_event, record_of
from neuronetz_twisted.audit.lanes import MAX_BATCH
from neuronetz_twisted.audit.signers import open_signer
from neuronetz_twisted.audit.spool import Spool
from neuronetz_twisted.cli.session import database
from neuronetz_twisted.config import load
from neuronetz_twisted.stores import audit_rows
from neuronetz_twisted.stores.ledger_lines import lines_of_charges
from neuronetz_twisted.testing.calls import made_arrival, made_ticket
from neuronetz_twisted.vocabulary import End, Outcome, Usage

T = TypeVar("T")

BATCHES = 3
_US_PER_S = 1e6
_LIMITS = SpoolLimits(max_bytes=1 << 30, buffer_records=1000)
_OUTCOME = Outcome(
    end=End.COMPLETE,
    word=End.COMPLETE.value,
    status=200,
    usage=Usage(prompt_tokens=11, completion_tokens=2),
    bytes_sent=350,
    first_byte_after=0.0021,
    backend="default",
)


def records(number: int) -> list[tuple[str, bytes, bytes]]:
    """Id, intent and completion of so many calls, as the gateway records them."""
    return [_recorded(str(uuid4())) for _ in range(number)]


def _recorded(call: str) -> tuple[str, bytes, bytes]:
    arrival = made_arrival(id=call, at=time.time_ns() // 1000, user_agent="OpenAI/Python 2.8.0")
    ticket = made_ticket(arrival=arrival)
    return call, record_of(dict(ticket.intent)), record_of(call_event(ticket, _OUTCOME, 0.0023))


class Way:
    """One spool on its way into PostgreSQL."""

    def __init__(
        self, directory: Path, run: Callable[[Callable[[Connection], Batch]], Batch]
    ) -> None:
        self._run = run
        self._spool = Spool.create(
            directory / "spool", _LIMITS, clock=Clock(), in_thread=_now, sync_in=None
        )
        signer = open_signer(None, state_dir=directory, checkpoints=None, now=time.time)
        letters = DeadLetters(directory / "dead")
        self._batches = BatchWriter(
            rows=audit_rows, lines=lines_of_charges, signer=signer, letters=letters
        )
        self._seq, self._hash = self._spool.base
        self._spool.start()

    def go(self, number: int) -> dict[str, float]:
        """CPU time of one batch of so many records by part, in microseconds for each record."""
        made = records(number)
        times = [time.process_time()]
        for call, intent, completion in made:
            self._spool.open(call, intent).complete(completion)
        times.append(time.process_time())
        finals = self._spool.finals(self._seq, number)
        times.append(time.process_time())
        order = Order(
            after=self._seq,
            chain_hash=self._hash,
            limit=number,
            unsigned=0,
            overdue=False,
            closing=False,
            head=self._spool.head,
        )
        writer = self._spool.writer
        batch = self._run(lambda connection: self._batches.write(writer, order, finals, connection))
        times.append(time.process_time())
        self._seq, self._hash = batch.seq, batch.chain_hash
        self._spool.flushed(batch.seq)
        parts = [(end - begin) * _US_PER_S / number for begin, end in pairwise(times)]
        return dict(zip(("spool_us", "read_us", "write_us"), parts, strict=True))


def _now(work: Callable[[], T], /) -> Deferred[T]:
    return maybeDeferred(work)


def main() -> None:
    """Print what each batch has cost, as lines of JSON; the first one, which warms up, is not."""
    settings = load(os.environ, Path()).settings
    with tempfile.TemporaryDirectory(dir=settings.state_dir) as scratch, database(settings) as own:
        way = Way(Path(scratch), own.run)
        way.go(MAX_BATCH)
        for _ in range(BATCHES):
            sys.stdout.write(f"{json.dumps(way.go(MAX_BATCH))}\n")


if __name__ == "__main__":
    main()
