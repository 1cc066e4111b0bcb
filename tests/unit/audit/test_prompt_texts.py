"""What of a call is kept, and how much of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.prompt_texts import DailyQuota, day_at, text_of_call
from neuronetz_twisted.testing.calls import (
    KEY_ID,
    REQUEST_ID,
    TENANT,
    made_arrival,
    made_request,
    made_ticket,
)
from neuronetz_twisted.vocabulary import End, Outcome

LIMIT = 64 * 1024
TODAY, TOMORROW = day_at(0), day_at(86_400)
OTHER_TENANT = UUID(int=9)


def outcome(answer: bytes | None = None) -> Outcome:
    """How a call ended."""
    return Outcome(end=End.COMPLETE, word="ok", status=200, answer=answer)


def said(body: dict[str, Any], answer: bytes | None = None) -> Any:
    """What is kept of a call with this body."""
    ticket = made_ticket(request=made_request(body=body))
    return orjson.loads(text_of_call(ticket, outcome(answer), timedelta(days=1)).text)


class TextTests(SynchronousTestCase):
    def test_whose_and_when(self) -> None:
        """A text belongs to its call, and expires so long after the call arrived."""
        ticket = made_ticket(arrival=made_arrival(at=1_500_000))
        text = text_of_call(ticket, outcome(), timedelta(days=30))
        self.assertEqual(text.id, UUID(REQUEST_ID))
        self.assertEqual((text.tenant_id, text.key_id), (TENANT, KEY_ID))
        self.assertEqual(text.started_at, datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC))
        self.assertEqual(text.expires_at - text.started_at, timedelta(days=30))
        self.assertNotIn("Say hello", repr(text))

    def test_what_the_client_said(self) -> None:
        """Messages, prompt and system prompt are kept as JSON; options are not."""
        messages = [{"role": "user", "content": "Grüße"}]
        kept = said({"messages": messages, "options": {"seed": 1}})
        self.assertEqual(orjson.loads(kept["request"]), {"messages": messages})
        self.assertFalse(kept["request_cut"])
        kept = said({"system": "Be brief", "prompt": "Hi"})
        self.assertEqual(orjson.loads(kept["request"]), {"system": "Be brief", "prompt": "Hi"})

    def test_what_is_embedded(self) -> None:
        """Texts to be embedded, and what comes behind a prompt, are said too."""
        kept = said({"input": ["a", "b"], "dimensions": 3})
        self.assertEqual(orjson.loads(kept["request"]), {"input": ["a", "b"]})
        kept = said({"prompt": "a", "suffix": "b", "images": ["aGk="]})
        self.assertEqual(orjson.loads(kept["request"]), {"prompt": "a", "suffix": "b"})

    def test_images(self) -> None:
        """No image takes the place of what was said after it."""
        call = {"function": {"name": "w", "arguments": {}}}
        messages = [
            {"role": "user", "content": "a", "images": ["A" * LIMIT]},
            {"role": "assistant", "tool_calls": [call]},
        ]
        kept = said({"messages": messages})
        self.assertEqual(
            orjson.loads(kept["request"]),
            {"messages": [{"role": "user", "content": "a"}, messages[1]]},
        )

    def test_what_the_model_said(self) -> None:
        """The answer is kept as it was heard; None where none was begun."""
        self.assertIsNone(said({"prompt": "Hi"})["answer"])
        heard = b'{"content":"Hello","thinking":"","cut":false}'
        self.assertEqual(said({"prompt": "Hi"}, heard)["answer"], orjson.loads(heard))

    def test_a_long_request(self) -> None:
        """A request is cut at 64 KiB, between two characters, and says so."""
        exact = said({"prompt": "x" * (LIMIT - len('{"prompt":""}'))})
        self.assertEqual((len(exact["request"]), exact["request_cut"]), (LIMIT, False))
        for letter in ("x", "ü", "😀"):
            longer = said({"prompt": letter * LIMIT})
            size = len(longer["request"].encode())
            self.assertTrue(LIMIT - 4 < size <= LIMIT, size)
            self.assertTrue(longer["request_cut"])


class DailyQuotaTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Three texts and a hundred bytes a day."""
        self.quota = DailyQuota(3, 100)

    def take(self, size: int = 1, tenant_id: UUID = TENANT, day: datetime = TODAY) -> bool:
        """Take a text."""
        return self.quota.take(tenant_id, size, day)

    def test_texts(self) -> None:
        """So many texts a day and tenant, and no more."""
        self.assertEqual([self.take() for _ in range(4)], [True, True, True, False])
        self.assertTrue(self.take(tenant_id=OTHER_TENANT))
        self.assertTrue(self.take(day=TOMORROW))

    def test_bytes(self) -> None:
        """So many bytes; a text that is too large leaves room for a smaller one."""
        self.assertEqual([self.take(60), self.take(41), self.take(40)], [True, False, True])
        self.assertFalse(self.take(1))

    def test_others(self) -> None:
        """What other gateways have kept counts, and what is counted here is not forgotten."""
        self.take(50)
        self.quota.seen({TENANT: (2, 20), OTHER_TENANT: (3, 3)}, TODAY)
        self.assertFalse(self.take(51))
        self.assertTrue(self.take(50))
        self.assertFalse(self.take(tenant_id=OTHER_TENANT))
        self.quota.seen({}, TOMORROW)
        self.assertTrue(self.take(100, day=TOMORROW))


class DayTests(SynchronousTestCase):
    def test_midnight(self) -> None:
        """A day begins at midnight UTC and lasts until the next."""
        self.assertEqual(day_at(86_399.9), TODAY)
        self.assertEqual(day_at(86_400), datetime(1970, 1, 2, tzinfo=UTC))
