"""OpenAI's text completions: what is asked of the model host, and what clients read."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.openai_completions import TextCompletionWriter, parse_completion
from neuronetz_twisted.errors import InvalidRequest, UpstreamFailed, UpstreamNonsense
from neuronetz_twisted.vocabulary import NativeRequest
from tests.unit.dialects.spoken import USAGE

CAP = 100
NEUTRAL = {
    "temperature": 1.0,
    "top_p": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "num_predict": CAP,
}
HEAD = (
    b'data: {"id":"cmpl-the-id","object":"text_completion","created":7,'
    b'"model":"llama3","system_fingerprint":"fp_ollama","choices":['
)


def parse(**body: Any) -> NativeRequest:
    """Parse a completion with a model."""
    return parse_completion(orjson.dumps({"model": "llama3", **body}), CAP)


class RequestTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Prompt, suffix and sampling become a native generation."""
        request = parse(
            prompt=["Once"],
            suffix=" end",
            stream=True,
            stream_options={"include_usage": True},
            temperature=0,
            top_p=0.5,
            frequency_penalty=0.1,
            presence_penalty=-1,
            seed=7,
            stop=["x", "y"],
            max_tokens=9,
            logprobs=2,
            n=1,
            best_of=1,
            echo=False,
            logit_bias={"1": 1},
            user="someone",
        )
        self.assertEqual(
            request.body,
            {
                "prompt": "Once",
                "suffix": " end",
                "logprobs": True,
                "top_logprobs": 2,
                "options": {
                    "seed": 7,
                    "stop": ["x", "y"],
                    "frequency_penalty": 0.1,
                    "presence_penalty": -1,
                    "temperature": 0,
                    "top_p": 0.5,
                    "num_predict": 9,
                },
            },
        )
        self.assertEqual((request.path, request.model), ("/api/generate", "llama3"))
        self.assertTrue(request.stream)
        self.assertTrue(request.include_usage)
        self.assertEqual(request.ignored, ("logit_bias", "user"))
        self.assertEqual((request.prompt_bytes, request.predict_name), (8, "max_tokens"))

    def test_defaults(self) -> None:
        """Not streamed, no usage chunk, the sampling that Ollama sets; nulls and neutral values."""
        nulls = dict.fromkeys(("prompt", "suffix", "logprobs", "best_of", "echo", "stop", "user"))
        for body in ({}, nulls, {"prompt": "", "suffix": ""}):
            with self.subTest(body=body):
                request = parse(**body)
                self.assertEqual(request.body, {"prompt": "", "options": NEUTRAL})
                self.assertFalse(request.stream or request.include_usage or request.ignored)
                self.assertIsNone(request.predict_name)

    def test_no_likely_tokens(self) -> None:
        """OpenAI's `logprobs: 0` asks for the chosen tokens alone."""
        body = parse(prompt="a", logprobs=0).body
        self.assertEqual((body["logprobs"], body["top_logprobs"]), (True, 0))

    def test_capped(self) -> None:
        """More tokens than may be asked for become as many, and are named."""
        request = parse(prompt="a", max_tokens=CAP + 1)
        self.assertEqual(request.body["options"]["num_predict"], CAP)
        self.assertEqual(request.ignored, ("max_tokens",))

    def test_refused(self) -> None:
        """What would be another answer than the one asked for is refused by its name."""
        for body, param, word in (
            ({"prompt": 1}, "prompt", "string"),
            ({"prompt": []}, "prompt", "string"),
            ({"prompt": {}}, "prompt", "string"),
            ({"prompt": [1, 2]}, "prompt", "tokens"),
            ({"prompt": [[1, 2]]}, "prompt", "tokens"),
            ({"prompt": ["a", "b"]}, "prompt", "one"),
            ({"suffix": 1}, "suffix", "string"),
            ({"echo": True}, "echo", "not accepted"),
            ({"best_of": 2}, "best_of", "1"),
            ({"n": 2}, "n", "1"),
            ({"logprobs": True}, "logprobs", "number"),
            ({"logprobs": 21}, "logprobs", "20"),
            ({"_debug_render_only": True}, "_debug_render_only", "not accepted"),
            ({"Prompt": "x"}, "prompt", "case"),
            ({"model": ""}, "model", "required"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    parse(**body)
                self.assertEqual(caught.exception.param, param)
                self.assertIn(word, caught.exception.message)


def completion(*, include_usage: bool = False) -> TextCompletionWriter:
    """A writer of one answer."""
    return TextCompletionWriter(id="the-id", created=7, model="llama3", include_usage=include_usage)


def frame(response: str, **beside: Any) -> bytes:
    """A frame in the middle of a generation, as Ollama writes it."""
    shown = {"model": "m", "created_at": "t", "response": response, **beside, "done": False}
    return orjson.dumps(shown)


def final(reason: str = "stop", response: str = "", **beside: Any) -> dict[str, Any]:
    """A final frame."""
    return {"response": response, "done": True, "done_reason": reason, **beside}


def logprob(token: str, *others: str) -> dict[str, Any]:
    """What is told of a token, with others that were likely."""
    shown: dict[str, Any] = {"token": token, "logprob": -0.5}
    if others:
        shown["top_logprobs"] = [{"token": other, "logprob": -1.5} for other in others]
    return shown


class StreamTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """A chunk for each frame, one with the reason, and [DONE]."""
        writer = completion()
        self.assertEqual(
            writer.frames([frame("a\u003c"), frame("b", thinking="")]),
            HEAD
            + b'{"index":0,"text":"a<","logprobs":null,"finish_reason":null}]}\n\n'
            + HEAD
            + b'{"index":0,"text":"b","logprobs":null,"finish_reason":null}]}\n\n',
        )
        self.assertEqual(
            writer.last(final("length"), USAGE),
            HEAD
            + b'{"index":0,"text":"","logprobs":null,"finish_reason":"length"}]}\n\n'
            + b"data: [DONE]\n\n",
        )

    def test_escapes(self) -> None:
        """Text with escapes reads as if it had been parsed."""
        events = completion().frames(
            [b'{"model":"m","created_at":"t","response":"\\u003c\\n","done":false}']
        )
        self.assertIn(b'"text":"<\\n"', events)

    def test_usage(self) -> None:
        """Where usage was asked for, chunks have none and one without choices follows."""
        writer = completion(include_usage=True)
        self.assertTrue(writer.frames([frame("a")]).endswith(b'}],"usage":null}\n\n'))
        _, usage, done = writer.last(final(), USAGE).removesuffix(b"\n\n").split(b"\n\n")
        self.assertEqual(
            usage,
            HEAD + b'],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}',
        )
        self.assertEqual(done, b"data: [DONE]")

    def test_thinking_is_silent(self) -> None:
        """A thought makes a chunk without text, so that the client sees that something goes on."""
        self.assertEqual(
            completion().frames([frame("", thinking="Hm")]),
            HEAD + b'{"index":0,"text":"","logprobs":null,"finish_reason":null}]}\n\n',
        )

    def test_final_text(self) -> None:
        """Text of the final frame is a chunk of its own."""
        events = completion().last(final(response="all"), USAGE).split(b"\n\n")
        self.assertIn(b'"text":"all","logprobs":null,"finish_reason":null', events[0])
        self.assertIn(b'"text":"","logprobs":null,"finish_reason":"stop"', events[1])

    def test_logprobs(self) -> None:
        """Four lists; where a token begins is counted over the whole answer."""
        writer = completion()
        events = writer.frames(
            [
                frame("ab", logprobs=[logprob("a", "x", "y"), logprob("b")]),
                frame("c", logprobs=[logprob("c")]),
            ]
        )
        chunks = [orjson.loads(line[6:]) for line in events.removesuffix(b"\n\n").split(b"\n\n")]
        self.assertEqual(
            [chunk["choices"][0]["logprobs"] for chunk in chunks],
            [
                {
                    "tokens": ["a", "b"],
                    "token_logprobs": [-0.5, -0.5],
                    "top_logprobs": [{"x": -1.5, "y": -1.5}, {}],
                    "text_offset": [0, 1],
                },
                {
                    "tokens": ["c"],
                    "token_logprobs": [-0.5],
                    "top_logprobs": [{}],
                    "text_offset": [2],
                },
            ],
        )

    def test_fault(self) -> None:
        """An error event, without [DONE]."""
        event = completion().fault(UpstreamFailed(), "the-id")
        self.assertTrue(event.startswith(b'data: {"error":{"message":'))
        self.assertNotIn(b"[DONE]", event)

    def test_frame_of_a_chat(self) -> None:
        """A frame of another route is nonsense, in the middle and at the end."""
        message = {"message": {"role": "assistant", "content": "x"}}
        with self.assertRaises(UpstreamNonsense):
            completion().frames([orjson.dumps({**message, "done": False})])
        with self.assertRaises(UpstreamNonsense):
            completion().last({**message, "done": True}, USAGE)


class WholeTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """The answer in one piece, without what was thought."""
        self.assertEqual(
            completion().whole(final("length", "ab", thinking="Hm"), USAGE),
            b'{"id":"cmpl-the-id","object":"text_completion","created":7,"model":"llama3",'
            b'"system_fingerprint":"fp_ollama","choices":[{"index":0,"text":"ab",'
            b'"logprobs":null,"finish_reason":"length"}],"usage":'
            b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}',
        )

    def test_logprobs(self) -> None:
        """The likelihood of all tokens."""
        body = orjson.loads(completion().whole(final(response="a", logprobs=[logprob("a")]), USAGE))
        self.assertEqual(body["choices"][0]["logprobs"]["tokens"], ["a"])
