"""Room in memory for answers that are larger than most: whole ones, of embeddings. Pure.

A thousand vectors of 4096 numbers are 50 MiB of digits, which many clients ask for in one go. Each
answer may have `MAX_RESPONSE_BYTES` as every other one; for what is beyond that all of them share
one store, so that large answers are possible and many at once are no danger (SPEC 2, R5).
"""

from attrs import define, field

from neuronetz_twisted.errors import AnswersTooLarge, AnswerTooLarge

LARGEST = 4
"""How large an answer of embeddings may be, in `MAX_RESPONSE_BYTES`."""

SHARED = 8
"""What all of them may hold beyond one `MAX_RESPONSE_BYTES` each, in as many."""

_TOO_LARGE = "the answer has more than %d bytes: input must have fewer texts"


@define
class Storage:
    """The store of one process; an answer may hold `each` bytes without asking."""

    each: int
    _free: int = field(init=False)

    @_free.default
    def _make_free(self) -> int:
        return SHARED * self.each

    @property
    def largest(self) -> int:
        """The most bytes that an answer may have."""
        return LARGEST * self.each

    def take(self, count: int) -> None:
        """Take bytes, or give them back. Raises `AnswersTooLarge` where there are not as many."""
        if count > self._free:
            raise AnswersTooLarge(why="memory")
        self._free -= count


@define
class Share:
    """What one answer has of the store; it is to be given back once."""

    _storage: Storage
    _taken: int = field(default=0, init=False)

    def hold(self, count: int) -> None:
        """Hold so many bytes in all. Raises `AnswerTooLarge` and `AnswersTooLarge`."""
        if count > self._storage.largest:
            raise AnswerTooLarge(_TOO_LARGE % self._storage.largest, why="answer", param="input")
        more = count - self._storage.each - self._taken
        if more > 0:
            self._storage.take(more)
            self._taken += more

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._storage.take(-self._taken)
        self._taken = 0
