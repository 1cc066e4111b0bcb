"""Counting what a native stream says, frame by frame. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field

from neuronetz_twisted.dialects.frames import is_ordinary, read_frame, usage_of
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage


@define
class Meter:
    """The meter of one answer; `prompt_bytes` is for the estimate where counts miss (SPEC 7)."""

    prompt_bytes: int
    frames: int = field(default=0, init=False)
    final: Mapping[str, Any] | None = field(default=None, init=False)

    def feed(self, lines: Sequence[bytes]) -> list[bytes]:
        """Count the frames of one read; gives those in the middle, fit for a client.

        Raises `UpstreamNonsense` for a line that is no frame, Ollama's error line, and a frame
        after the final one; what was counted before it stays counted.
        """
        passed: list[bytes] = []
        for line in lines:
            if self.final is not None:
                raise UpstreamNonsense("a frame after the final one")
            if is_ordinary(line):
                passed.append(line)
            else:
                frame = read_frame(line)
                if frame["done"]:
                    self.final = frame
                    continue
                passed.append(orjson.dumps(frame))
            self.frames += 1
        return passed

    def usage(self) -> Usage:
        """The tokens so far."""
        return usage_of(self.final, self.frames, self.prompt_bytes)
