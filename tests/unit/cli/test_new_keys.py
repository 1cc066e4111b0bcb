"""Keys are made where argon2 can run, and refused plainly where it cannot."""

from pathlib import Path
from typing import Any, cast

from argon2.exceptions import HashingError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli import new_keys
from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.config import load
from neuronetz_twisted.variables import EMBEDDED


class AddKeyTests(SynchronousTestCase):
    def test_too_little_memory(self) -> None:
        """It is one plain line that names the variable, and nothing is stored."""

        def no_memory(*_arguments: Any, **_costs: int) -> str:
            raise HashingError("Memory allocation error")

        self.patch(new_keys, "hash_key", no_memory)
        settings = load({"DATABASE_URL": EMBEDDED}, Path(self.mktemp())).settings
        untouched = cast("Any", None)
        with self.assertRaises(Fault) as caught:
            new_keys.add_key(untouched, settings, tenant="t", name="n", scopes=())
        message = "argon2 cannot run with ARGON2_MEMORY_COST_KIB: Memory allocation error"
        self.assertEqual(caught.exception.message, message)
