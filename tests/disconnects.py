"""Clients that go in every phase of an answer, and how long the model host took to notice."""

from attrs import frozen

from tests.gateway import Stack, marker
from tests.http_client import Caller, chat, request_bytes
from tests.processes import eventually


@frozen
class Phase:
    """A point in an answer's life at which a client may go.

    `directive` is for the mock; `wait_for` the bytes after which the client goes, empty for as
    soon as the model host has its request.
    """

    name: str
    path: str
    directive: str
    stream: bool
    wait_for: bytes

    def body(self, word: str) -> dict[str, object]:
        """A request whose prompt holds `word`."""
        prompt = f"{word} [[{self.directive}]]"
        if self.path == "/api/generate":
            return {"model": "llama3.2", "prompt": prompt, "stream": self.stream}
        return chat(prompt, stream=self.stream)


_SLOWLY = "n=1000 delay=20ms"
PHASES = (
    Phase("mid-stream", "/api/chat", _SLOWLY, stream=True, wait_for=b"said:"),
    Phase("mid-stream, generate", "/api/generate", _SLOWLY, stream=True, wait_for=b"said:"),
    Phase("mid-stream, OpenAI", "/v1/chat/completions", _SLOWLY, stream=True, wait_for=b"said:"),
    Phase("between two frames", "/api/chat", "n=9 fault=hang@3", stream=True, wait_for=b"said:"),
    Phase("loading", "/api/chat", "wait=5s", stream=True, wait_for=b""),
    Phase("hanging", "/api/chat", "fault=hang@0", stream=True, wait_for=b""),
    Phase("not streamed", "/api/chat", _SLOWLY, stream=False, wait_for=b""),
    Phase("not streamed, loading", "/api/generate", "wait=5s", stream=False, wait_for=b""),
    Phase("not streamed, OpenAI", "/v1/chat/completions", _SLOWLY, stream=False, wait_for=b""),
)


def seconds_until_noticed(stack: Stack, key: str, phase: Phase) -> float:
    """How long after the client went the model host saw its connection closed.

    Both times are of this machine's wall clock. Fails where the host never sees it, or sees its
    answer end otherwise.
    """
    word = marker()
    request = request_bytes("POST", phase.path, phase.body(word), key=key)
    with Caller(stack.port, request) as caller:
        stack.mock.entry(word)
        if phase.wait_for:
            caller.read_until(phase.wait_for)
        gone_at = caller.hang_up()
    eventually(lambda: stack.mock.entry(word)["state"] != "open")
    entry = stack.mock.entry(word)
    if entry["state"] != "peer_closed":
        raise AssertionError(f"{phase.name}: {entry['state']}")
    noticed: float = entry["closed_at"] - gone_at
    return noticed
