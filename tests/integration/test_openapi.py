"""The gateway does what `docs/openapi.yaml` says, and nothing that it does not say."""

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.openapi import hold

EXAMPLES = 15

NO_LIMIT = "1000000"
"""Wrong keys are part of what is tried, again and again."""


class DocumentTests(SynchronousTestCase):
    def test_operations(self) -> None:
        """Every check of schemathesis holds for every operation, and each of them answers."""
        stack = shared_stack(AUTH_FAILURE_RATE_LIMIT_PER_IP_PER_MIN=NO_LIMIT)
        hold(self, stack, key=stack.new_key(), examples=EXAMPLES)
