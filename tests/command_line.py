"""How tests give commands: in this process, with no variable of the gateway but those they name."""

from typing import Any

import orjson
from click.testing import CliRunner, Result

from neuronetz_twisted.cli import gateway
from neuronetz_twisted.config import variables

# As cheap as argon2 gets, for tests that make keys.
CHEAP_ARGON2 = {
    "ARGON2_TIME_COST": "1",
    "ARGON2_MEMORY_COST_KIB": "64",
    "ARGON2_PARALLELISM": "1",
}


def command(*arguments: str, **environ: str) -> Result:
    """What a command did, with these variables."""
    unset: dict[str, str | None] = {}
    for _, known in variables():
        unset |= {known.name: None, f"{known.name}_FILE": None}
    return CliRunner(env={**unset, **environ}).invoke(
        gateway, list(arguments), prog_name="neuronetz-gateway", catch_exceptions=False
    )


def json_of(result: Result) -> Any:
    """The JSON that a command printed, having succeeded."""
    if result.exit_code != 0:
        raise AssertionError(result.output)
    return orjson.loads(result.stdout)
