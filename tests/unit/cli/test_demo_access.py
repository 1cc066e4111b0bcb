import json
import shlex

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.credentials import parse_key
from neuronetz_twisted.cli.demo_access import DemoClient
from neuronetz_twisted.cli.output import Fault
from tests.http_peer import peer

KEY = "nz_key"


class DemoClientTests(SynchronousTestCase):
    def test_whether_a_key_works(self) -> None:
        """200 is yes and 401 is no; all else is a fault of the gateway, not of the key."""
        for status, works in ((200, True), (401, False)):
            here = peer(self, {"/v1/models": (status, b"{}")})
            self.assertEqual(DemoClient(here.url, KEY).works(), works)
            self.assertEqual(here.seen[0][1]["Authorization"], f"Bearer {KEY}")
        here = peer(self, {"/v1/models": (503, b"{}")})
        self.assertRaises(Fault, DemoClient(here.url, KEY).works)
        self.assertRaises(Fault, DemoClient("http://127.0.0.1:1", KEY).works)

    def models(self, *capabilities: str) -> str:
        """The URL of a gateway with one model that can do this."""
        return peer(
            self,
            {
                "/v1/models": (200, json.dumps({"data": [{"id": "m"}]}).encode()),
                "/api/show": (200, json.dumps({"capabilities": capabilities}).encode()),
            },
        ).url

    def test_the_first_model_that_can_chat(self) -> None:
        """A model for embeddings is not shown in a call to chat."""
        self.assertEqual(DemoClient(self.models("completion"), KEY).chat_model(), "m")
        self.assertIsNone(DemoClient(self.models("embedding"), KEY).chat_model())

    def test_five_calls(self) -> None:
        """Each command is one that a shell can read, with the key or with a wrong one."""
        calls = [shlex.split(line) for _, line in DemoClient("http://g", KEY).curls("m'x")]
        self.assertEqual(
            [call[2] for call in calls],
            [
                "http://g/v1/chat/completions",
                "http://g/api/chat",
                "http://g/v1/models",
                "http://g/v1/models",
                "http://g/api/pull",
            ],
        )
        headers = [call[call.index("-H") + 1] for call in calls]
        wrong = headers.pop(3)
        self.assertEqual(headers, [f"Authorization: Bearer {KEY}"] * 4)
        self.assertIsNone(parse_key(wrong.removeprefix("Authorization: Bearer ")))
        self.assertEqual(json.loads(calls[0][-1])["model"], "m'x")
        self.assertTrue(json.loads(calls[0][-1])["stream"])
