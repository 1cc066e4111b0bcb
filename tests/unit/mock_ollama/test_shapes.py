"""The answers' fields, their types and their order, as Ollama's API documentation shows them."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.mock_ollama.peer import Peer

# A list of one shape is a list of such values; a name that ends in ? may be absent.
CALL = {"id": str, "function": {"index": int, "name": str, "arguments": dict}}
MESSAGE = {"role": str, "content": str, "thinking?": str, "tool_calls?": [CALL]}
TOKEN = {"token": str, "logprob": float, "bytes": [int]}
LOGPROBS = [{**TOKEN, "top_logprobs?": [TOKEN]}]
DURATIONS = {"total_duration": int, "load_duration": int}
COUNTS = {
    "prompt_eval_count": int,
    "prompt_eval_duration": int,
    "eval_count": int,
    "eval_duration?": int,
}
STAMP = {"model": str, "created_at": str}
CHAT = {**STAMP, "message": MESSAGE, "done": bool}
GENERATE = {**STAMP, "response": str, "thinking?": str, "done": bool}
DETAILS = {
    "parent_model": str,
    "format": str,
    "family": str,
    "families": [str],
    "parameter_size": str,
    "quantization_level": str,
}
SHAPES: dict[str, Any] = {
    "chat frame": {**CHAT, "logprobs?": LOGPROBS},
    "chat end": {**CHAT, "done_reason": str, "logprobs?": LOGPROBS, **DURATIONS, **COUNTS},
    "chat load": {**CHAT, "done_reason": str},
    "generate frame": {**GENERATE, "logprobs?": LOGPROBS},
    "generate end": {
        **GENERATE,
        "done_reason": str,
        "context": [int],
        **DURATIONS,
        **COUNTS,
        "logprobs?": LOGPROBS,
    },
    "generate load": {**GENERATE, "done_reason": str},
    "embed": {"model": str, "embeddings": [[float]], **DURATIONS, "prompt_eval_count": int},
    "embeddings": {"embedding": [float]},
    "tags": {
        "models": [
            {
                "name": str,
                "model": str,
                "modified_at": str,
                "size": int,
                "digest": str,
                "details": DETAILS,
            }
        ]
    },
    "ps": {
        "models": [
            {
                "name": str,
                "model": str,
                "size": int,
                "digest": str,
                "details": DETAILS,
                "expires_at": str,
                "size_vram": int,
                "context_length": int,
            }
        ]
    },
    "show": {
        "license": str,
        "modelfile": str,
        "parameters": str,
        "template": str,
        "system": str,
        "details": DETAILS,
        "model_info": dict,
        "capabilities": [str],
        "modified_at": str,
    },
    "version": {"version": str},
    "error": {"error": str},
}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def faults(value: Any, shape: Any, where: str) -> list[str]:
    """Name all in a value that is not of the shape."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [text for item in value for text in faults(item, shape[0], f"{where}[]")]
    if not isinstance(shape, dict):
        return [] if type(value) is shape else [f"{where}: {type(value).__name__}"]
    names = [name.removesuffix("?") for name in shape]
    present = [name for name in names if name in value]
    wrong = [f"{where}: {list(value)}"] if list(value) != present else []
    needed = [name for name in shape if not name.endswith("?")]
    wrong += [f"{where}.{name} is absent" for name in needed if name not in value]
    for name, kind in shape.items():
        key = name.removesuffix("?")
        if key in value:
            wrong += faults(value[key], kind, f"{where}.{key}")
    return wrong


class ShapeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Take one twin for all of a test."""
        self.peer = Peer()

    def check(self, value: Any, shape: str) -> None:
        """Check an answer's shape."""
        self.assertEqual(faults(value, SHAPES[shape], shape), [])

    def ask(self, path: str, **body: Any) -> Any:
        """Ask for one object."""
        return self.peer.ask("POST", f"/api/{path}", {"model": "qwen3:8b", **body}).json()

    def test_generated(self) -> None:
        """Frames and whole answers of chat and generate, with all that they can hold."""
        text = "[[n=2 think=2 tools=1]]"
        for path, asked in (
            ("chat", {"messages": [{"role": "user", "content": text}], "tools": TOOLS}),
            ("generate", {"prompt": text}),
        ):
            for extra in ({}, {"logprobs": True, "top_logprobs": 2}):
                with self.subTest(path=path, extra=extra):
                    body: dict[str, Any] = {"model": "qwen3:8b", **asked, **extra}
                    *frames, end = self.peer.ask("POST", f"/api/{path}", body).lines()
                    for frame in frames:
                        self.check(frame, f"{path} frame")
                    self.check(end, f"{path} end")
                    self.check(self.ask(path, **asked, **extra, stream=False), f"{path} end")
            self.check(self.ask(path), f"{path} load")
            self.check(self.ask(path, keep_alive=0), f"{path} load")

    def test_vectors(self) -> None:
        """Both ways of asking for vectors."""
        self.check(self.ask("embed", model="nomic-embed-text", input=["a", "b"]), "embed")
        self.check(self.ask("embeddings", model="nomic-embed-text", prompt="a"), "embeddings")

    def test_lists(self) -> None:
        """Lists, descriptions and the version."""
        self.ask("chat")
        for path in ("tags", "ps", "version"):
            with self.subTest(path=path):
                self.check(self.peer.ask("GET", f"/api/{path}").json(), path)
        self.check(self.ask("show"), "show")

    def test_errors(self) -> None:
        """Refusals and faults, also in the middle of a stream."""
        self.check(self.ask("chat", model="nothing"), "error")
        self.check(self.ask("chat", messages=1), "error")
        text = "[[n=5 fault=error@2]]"
        body = {"model": "qwen3:8b", "prompt": text}
        self.check(self.peer.ask("POST", "/api/generate", body).lines()[-1], "error")

    def test_faults_are_found(self) -> None:
        """The comparison itself sees other types, other orders, and what lacks or is too much."""
        shape = {"a": int, "b?": [str]}
        self.assertEqual(faults({"a": 1}, shape, ""), [])
        for value in ({}, {"a": True}, {"b": ["x"], "a": 1}, {"a": 1, "b": "x"}, {"a": 1, "c": 1}):
            with self.subTest(value=value):
                self.assertNotEqual(faults(value, shape, ""), [])
