"""`docs/openapi.yaml` and the gateway, with many more examples of what may be asked."""

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.integration.test_openapi import NO_LIMIT
from tests.openapi import hold

EXAMPLES = 500


class DocumentTests(SynchronousTestCase):
    def test_operations(self) -> None:
        """As in an ordinary run: no server error, no other form, no status that is not told."""
        stack = shared_stack(AUTH_FAILURE_RATE_LIMIT_PER_IP_PER_MIN=NO_LIMIT)
        hold(self, stack, key=stack.new_key(), examples=EXAMPLES)
