"""Durations as Go's time.ParseDuration reads them."""

import re

from mock_ollama.goscan import GoRefused

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_LARGEST = 2**63


def parse_duration(text: str) -> float:
    """Read a duration such as `5m`, `-1` being none, as Go's time.ParseDuration; in seconds.

    Raises GoRefused in Go's words.
    """
    shown = f'"{text}"'
    rest = text[1:] if text[:1] in {"+", "-"} else text
    total = 0
    if rest == "0":
        return 0.0
    if not rest:
        raise GoRefused(f"time: invalid duration {shown}")
    while rest:
        match = _PART.match(rest)
        whole, fraction, unit = match.groups("") if match else ("", "", "")
        if not (whole or fraction[1:]):
            raise GoRefused(f"time: invalid duration {shown}")
        if not unit:
            raise GoRefused(f"time: missing unit in duration {shown}")
        if unit not in _NANOSECONDS:
            raise GoRefused(f'time: unknown unit "{unit}" in duration {shown}')
        scale = _NANOSECONDS[unit]
        total += int(whole[-40:] or "0") * scale
        total += int(fraction[1:41] or "0") * scale // 10 ** len(fraction[1:41])
        if total >= _LARGEST or len(whole.lstrip("0")) > len(str(_LARGEST)):
            raise GoRefused(f"time: invalid duration {shown}")
        rest = rest[match.end() if match else len(rest) :]
    return (-total if text[0] == "-" else total) / 1e9
