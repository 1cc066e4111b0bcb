"""The gateway does what `docs/openapi.yaml` says, and nothing that it does not say."""

from twisted.trial.unittest import SynchronousTestCase

from tests.openapi import hold

EXAMPLES = 15


class DocumentTests(SynchronousTestCase):
    def test_operations(self) -> None:
        """Every check of schemathesis holds for every operation, and each of them answers."""
        hold(self, EXAMPLES)
