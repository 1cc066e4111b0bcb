"""Counting what a native stream says, frame by frame. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from neuronetz_twisted.dialects.frames import is_ordinary, read_frame, usage_of
from neuronetz_twisted.dialects.vectors import read_vectors
from neuronetz_twisted.dialects.visible import as_go_writes
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage


@define
class Meter:
    """The meter of one answer; `estimate` is the prompt's, in tokens, where counts miss (SPEC 7).

    The answer to a request that `is_whole` is one object, of embeddings, and final.

    `broken` is set by a line that is no frame, by Ollama's error line, and by a frame after the
    final one.
    """

    estimate: int
    is_whole: bool = False
    frames: int = field(default=0, init=False)
    final: Mapping[str, Any] | None = field(default=None, init=False)
    broken: bool = field(default=False, init=False)

    def feed(self, lines: Sequence[bytes]) -> list[bytes]:
        """Count the frames of one read; gives those in the middle, fit for a client.

        Where the stream breaks, what came before still counts and is still given.
        """
        passed: list[bytes] = []
        try:
            for line in lines:
                if self.final is None and not self.is_whole and is_ordinary(line):
                    passed.append(line)
                else:
                    self._read(line, passed)
        except UpstreamNonsense:
            self.broken = True
        self.frames += len(passed)
        return passed

    def _read(self, line: bytes, passed: list[bytes]) -> None:
        """Take a line that has to be looked at."""
        if self.final is not None:
            raise UpstreamNonsense("a frame after the final one")
        frame = read_vectors(line) if self.is_whole else read_frame(line)
        if frame["done"]:
            self.final = frame
        else:
            passed.append(as_go_writes(frame))

    def usage(self) -> Usage:
        """The tokens so far."""
        return usage_of(self.final, self.frames, self.estimate)
