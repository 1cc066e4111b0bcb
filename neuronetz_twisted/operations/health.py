"""Is the gateway fit to be sent requests? (SPEC 14)."""

from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.logger import Logger

_log = Logger()


@define
class Readiness:
    """The checks behind `/readyz`, by name; each one says at once whether it is good."""

    checks: Mapping[str, Callable[[], bool]]
    _missing: tuple[str, ...] | None = field(default=None, init=False)

    def __call__(self) -> bool:
        """Whether all are good; a change is logged with the names of those that are not."""
        missing = tuple(name for name, check in self.checks.items() if not check())
        if missing != self._missing:
            self._missing = missing
            if missing:
                _log.warn("not ready: {reason}", reason=", ".join(missing))
            else:
                _log.info("ready")
        return not missing
