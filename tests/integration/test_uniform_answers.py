"""A caller cannot tell "not yours" from "not there" (SPEC 2, R7)."""

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.http_client import Answer, ask, chat

ADDRESS = {"X-Forwarded-For": "192.0.2.10"}
REQUEST_ID = re.compile(rb'"request_id":"[^"]+"')


def likeness(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but what is its own: id and date."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "date"}
    }
    body, count = REQUEST_ID.subn(b'"request_id":"-"', answer.body)
    if count != 1:
        raise AssertionError(f"{count} request ids in {answer.body!r}")
    return answer.status, headers, body


class RefusalTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key that may use one of the models that are there."""
        self.stack = shared_stack()
        self.key = self.stack.new_key(allow_all_models=False, models=("llama3.2:latest",))

    def post(self, path: str, body: object) -> Answer:
        """One request with the key."""
        return ask(self.stack.port, "POST", path, body, key=self.key)

    def one_face(self, answers: list[Answer]) -> None:
        """All are the same 403."""
        faces = [likeness(answer) for answer in answers]
        self.assertEqual(faces[0][0], 403)
        for face in faces[1:]:
            self.assertEqual(face, faces[0])

    def test_the_allowed_model_is_answered(self) -> None:
        """The 403s below are not simply the answer to everything."""
        self.assertEqual(self.post("/api/chat", chat("hi", stream=False)).status, 200)

    def test_native(self) -> None:
        """Forbidden, missing, misspelt, unnameable models and unknown paths look alike."""
        names = (
            "qwen3:8b",
            "not-installed",
            "llama3.3",
            "llama3.2:LATEST2",
            "a/b/c/d/e",
            "x:cloud",
        )
        answers = [self.post("/api/chat", chat("hi", model=name)) for name in names]
        answers += [self.post("/api/chat", chat("hi", model=n, stream=False)) for n in names]
        answers += [self.post("/api/generate", {"model": name, "prompt": "hi"}) for name in names]
        answers += [self.post("/api/show", {"model": name}) for name in names]
        paths = (
            "/api/pull",
            "/api/delete",
            "/api/blobs/sha256:0",
            "/api/tgas",
            "/admin",
            "/api//tags",
        )
        answers += [self.post(path, {"model": "llama3.2"}) for path in paths]
        answers += [ask(self.stack.port, "GET", path, key=self.key) for path in paths]
        self.one_face(answers)

    def test_openai(self) -> None:
        """The same on the OpenAI surface, in its form."""
        names = ("qwen3:8b", "not-installed", "llama3.3")
        answers = [self.post("/v1/chat/completions", chat("hi", model=name)) for name in names]
        answers += [
            ask(self.stack.port, "GET", f"/v1/models/{name}", key=self.key) for name in names
        ]
        answers += [self.post(path, {}) for path in ("/v1/files", "/v1/chat/completion")]
        self.one_face(answers)

    def test_lists_name_only_what_is_allowed(self) -> None:
        """Neither list nor any of its entries tells of another model."""
        tags = ask(self.stack.port, "GET", "/api/tags", key=self.key)
        models = ask(self.stack.port, "GET", "/v1/models", key=self.key)
        self.assertEqual([one["name"] for one in tags.json()["models"]], ["llama3.2:latest"])
        self.assertEqual([one["id"] for one in models.json()["data"]], ["llama3.2:latest"])

    def test_every_failure_to_authenticate(self) -> None:
        """No key, a typo, an unknown, a wrong and a disabled one look alike."""
        disabled = self.stack.new_key()
        self.stack.administer(
            "UPDATE gateway.api_keys SET status = 'disabled' WHERE name = %s", disabled[:12]
        )
        unknown = "nz_000000000" + self.key[12:]
        answers = [
            ask(self.stack.port, "GET", path, key=key, headers=ADDRESS)
            for key in (None, "x", "nz_", self.key[:-1], unknown, disabled, self.key + " x")
            for path in ("/api/tags", "/api/pull")
        ]
        faces = [likeness(answer) for answer in answers]
        self.assertEqual(faces[0][0], 401)
        self.assertEqual(faces[0][1]["www-authenticate"], "Bearer")
        for face in faces[1:]:
            self.assertEqual(face, faces[0])
