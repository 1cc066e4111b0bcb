"""What the operator sets for a model, on every request."""

import json

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.pinned_options import NOTHING_PINNED, PinnedOptions, parse_pinned

CHAT = "/api/chat"
EMBED = "/api/embed"


def pinned(**pins: object) -> PinnedOptions:
    """What is pinned for every model."""
    return parse_pinned(json.dumps({"*": pins}))


class AppliedTests(SynchronousTestCase):
    def test_options(self) -> None:
        """They go over the client's; the others stay, and the body given is left alone."""
        body = {"messages": [], "options": {"temperature": 1, "num_predict": 5}}
        found = pinned(num_ctx=8192, temperature=0.2).applied("m:latest", CHAT, body)
        options = {"temperature": 0.2, "num_predict": 5, "num_ctx": 8192}
        self.assertEqual(found, {"messages": [], "options": options})
        self.assertEqual(body["options"], {"temperature": 1, "num_predict": 5})

    def test_beside_options(self) -> None:
        """Some stand beside the options, where the client's own are replaced."""
        pins = {"keep_alive": "30m", "think": False, "shift": True, "truncate": False}
        found = pinned(**pins).applied("m:latest", CHAT, {"think": "high"})
        self.assertEqual(found, pins)

    def test_embed(self) -> None:
        """Embeddings take options, keep_alive and truncate."""
        pins = {"keep_alive": -1, "think": True, "shift": True, "truncate": True, "num_gpu": 1}
        found = pinned(**pins).applied("m:latest", EMBED, {"input": ["x"]})
        options = {"num_gpu": 1}
        self.assertEqual(
            found, {"input": ["x"], "keep_alive": -1, "truncate": True, "options": options}
        )

    def test_a_models_own(self) -> None:
        """What is said of a model goes before what is said of all, option by option."""
        found = parse_pinned(
            '{"*":{"num_ctx":1,"num_gpu":1},"Llama3":{"num_ctx":2},"qwen3:8b":{"seed":3}}'
        )
        for model, options in (
            ("llama3:latest", {"num_ctx": 2, "num_gpu": 1}),
            ("qwen3:8b", {"num_ctx": 1, "num_gpu": 1, "seed": 3}),
            ("other:latest", {"num_ctx": 1, "num_gpu": 1}),
        ):
            for _ in range(2):
                self.assertEqual(found.applied(model, CHAT, {}), {"options": options})

    def test_nothing(self) -> None:
        """Where nothing is pinned the body is the same."""
        body = {"options": {"seed": 1}}
        self.assertIs(NOTHING_PINNED.applied("m:latest", CHAT, body), body)
        self.assertIs(pinned(think=True).applied("m:latest", EMBED, body), body)


class ParseTests(SynchronousTestCase):
    def faults(self, text: str) -> list[str]:
        """What is wrong with a text."""
        return str(self.assertRaises(ValueError, parse_pinned, text)).split("; ")

    def test_as_text(self) -> None:
        """It is shown as it is meant, under canonical names."""
        self.assertEqual(
            str(parse_pinned('{"M":{"seed":1},"*":{}}')), '{"m:latest":{"seed":1},"*":{}}'
        )

    def test_no_object(self) -> None:
        """Anything but an object of objects is a fault."""
        for text in ("", "[]", "7", '{"m":7}'):
            with self.subTest(text=text):
                self.assertEqual(len(self.faults(text)), 1)

    def test_models(self) -> None:
        """Names that stand for no local model, or for one that is there already."""
        faults = self.faults('{"m":{},"M:latest":{},"x:cloud":{},"":{}}')
        self.assertEqual(len(faults), 3)
        self.assertIn("'M:latest' stands for a model that is there already", faults)

    def test_names_and_types(self) -> None:
        """Every fault is told, with the model and the option."""
        faults = self.faults(
            '{"m":{"num_predict":1,"no\\u001bsuch":1,"num_ctx":"8192","use_mmap":1,"stop":"x",'
            '"keep_alive":"soon","think":"hard","temperature":true,"seed":1e99}}'
        )
        self.assertEqual(len(faults), 9)
        for fault in faults:
            self.assertTrue(fault.startswith("m:latest: "), fault)
            self.assertTrue(fault.isprintable(), fault)
        self.assertIn("m:latest: num_predict is MAX_NUM_PREDICT's to set", faults)
        self.assertIn("m:latest: num_ctx must be a whole number", faults)

    def test_good_values(self) -> None:
        """Each kind of value in its forms."""
        good: tuple[dict[str, object], ...] = (
            {"keep_alive": "1h30m"},
            {"keep_alive": "-1s"},
            {"keep_alive": 0},
            {"keep_alive": 2.5},
            {"think": "low"},
            {"stop": []},
            {"stop": ["a", "b"]},
            {"temperature": 0},
            {"num_gpu": -1},
            {"use_mmap": False},
        )
        for pins in good:
            with self.subTest(pins=pins):
                self.assertIn(next(iter(pins)), str(pinned(**pins)))
