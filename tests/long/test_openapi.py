"""`docs/openapi.yaml` and the gateway, with many more examples of what may be asked."""

from twisted.trial.unittest import SynchronousTestCase

from tests.openapi import hold

EXAMPLES = 500


class DocumentTests(SynchronousTestCase):
    def test_operations(self) -> None:
        """As in an ordinary run: no server error, no other form, no status that is not told."""
        hold(self, EXAMPLES)
