"""Where the flushing of one writer's spool stands. Pure.

Times are in seconds of the reactor's clock.
"""

from collections.abc import Sequence

from attrs import Factory, define, field

from neuronetz_twisted.audit.batches import Backlog, Batch, Order
from neuronetz_twisted.audit.reader import Damage
from neuronetz_twisted.back_off import BackOff

MAX_BATCH = 1000
CHECKPOINT_S = 60.0


@define(eq=False)
class Lane:
    """One spool on its way into PostgreSQL.

    `closing`: nothing more is written to it, so its end is the end of the chain. `ending`: what
    is flushed is put under a checkpoint at once.
    """

    backlog: Backlog
    back_off: BackOff
    closing: bool = False
    ending: bool = False
    faulty: bool = field(default=False, init=False)
    _told: int = field(default=0, init=False)
    _seq: int = field(default=Factory(lambda self: self.backlog.base[0], takes_self=True))
    _hash: bytes = field(default=Factory(lambda self: self.backlog.base[1], takes_self=True))
    _size: int = field(default=MAX_BATCH, init=False)
    _unsigned: int = field(default=0, init=False)
    _unsigned_since: float = field(default=0.0, init=False)
    _not_before: float = field(default=0.0, init=False)
    _since: float | None = field(default=None, init=False)
    _mark: tuple[int, float] = field(default=(0, 0.0), init=False)

    @property
    def waiting(self) -> int:
        """How many finals are not in PostgreSQL yet."""
        return max(0, self.backlog.last_seq - self._seq)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, unless more is written."""
        return not (self.waiting or self.closing or self._unsigned)

    def is_due(self, now: float) -> bool:
        """Whether there is something to do now."""
        has_work = self.waiting > 0 or self.closing or self._is_overdue(now)
        return has_work and now >= self._not_before

    def oldest_s(self, now: float) -> float:
        """How long the oldest of the waiting finals has waited at most, since it was noticed."""
        return now - self._since if self._since is not None and self.waiting else 0.0

    def look(self, now: float) -> None:
        """Note how long finals have been waiting."""
        last = self.backlog.last_seq
        if not self.waiting:
            self._since = None
        elif self._since is None:
            self._since, self._mark = now, (last, now)
        elif self._seq >= self._mark[0]:
            # What waits now was written after the mark.
            self._since, self._mark = self._mark[1], (last, now)

    def order(self, now: float) -> Order:
        """What the next transaction is to do."""
        return Order(
            after=self._seq,
            chain_hash=self._hash,
            limit=self._size,
            unsigned=self._unsigned,
            overdue=self._is_overdue(now),
            closing=self.closing,
            head=self.backlog.head,
        )

    def done(self, batch: Batch, now: float) -> bool:
        """Note what was done. True where the batch was full, so that more is likely there."""
        is_full = batch.records >= self._size
        self._seq, self._hash = batch.seq, batch.chain_hash
        self._size = min(MAX_BATCH, 2 * self._size)
        if batch.signed is not None:
            self._unsigned = 0
        elif batch.records:
            if not self._unsigned:
                self._unsigned_since = now
            self._unsigned += batch.records
        elif not batch.closed:
            # What was written cannot be read yet.
            self.hold_off(now)
            return False
        self.faulty = False
        self.back_off.reset()
        return is_full

    def new_damage(self) -> Sequence[Damage]:
        """What was found damaged since this was asked last."""
        damaged = self.backlog.damaged
        new, self._told = damaged[self._told :], len(damaged)
        return new

    def smaller(self) -> None:
        """The database was away, or too slow for a batch of that size."""
        self._size = max(1, self._size // 2)

    def hold_off(self, now: float) -> None:
        """Leave this spool alone for a while; the others go on."""
        self._not_before = now + self.back_off.next()

    def _is_overdue(self, now: float) -> bool:
        late = self.ending or now - self._unsigned_since >= CHECKPOINT_S
        return self._unsigned > 0 and late
