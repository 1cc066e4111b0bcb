"""Ollama's own routes from body to body: embeddings, tools, and what is refused of them."""

from typing import Any

import orjson

from neuronetz_twisted.edge.surfaces import NativeSurfaces
from neuronetz_twisted.testing.calls import made_ticket
from neuronetz_twisted.testing.upstream import chat_final
from neuronetz_twisted.vocabulary import Scope, Usage
from tests.unit.edge.house import KEY
from tests.unit.edge.surface import SurfaceTestCase

EMBEDDED = (
    b'{"model":"llama3","embeddings":[[0.1,-0.2],[3e-05,1]],"total_duration":7,'
    b'"load_duration":2,"prompt_eval_count":5}'
)
FORM = {"Content_Type": "application/x-www-form-urlencoded"}


def body(**fields: Any) -> bytes:
    """A body that names the model."""
    return orjson.dumps({"model": "llama3", **fields})


class EmbeddingsTests(SurfaceTestCase):
    def test_embed(self) -> None:
        """The model host's object as it is, its cost on record; a stream is not what it is."""
        self.upstream.frames = [EMBEDDED]
        answer = self.answered("POST", "/api/embed", body(input=["a", "b"], stream=True), **FORM)
        self.assertEqual((answer.status, answer.body), (200, EMBEDDED))
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["x-gateway-ignored"], "stream")
        request = self.upstream.asked[0].call.request
        self.assertEqual((request.path, request.is_whole), ("/api/embed", True))
        event = self.house.sink.events[-1]
        self.assertEqual(
            (event["outcome"], event["prompt_tokens"], event["completion_tokens"]), ("ok", 5, 0)
        )
        self.assertEqual(event["route"], "POST /api/embed")

    def test_embeddings(self) -> None:
        """The older route has one vector and nothing else, asked through the newer one."""
        self.upstream.frames = [EMBEDDED.replace(b",[3e-05,1]", b"")]
        answer = self.answered("POST", "/api/embeddings", body(prompt="a"))
        self.assertEqual(answer.body, b'{"embedding":[0.1,-0.2]}')
        self.assertEqual(self.upstream.asked[0].call.request.path, "/api/embed")
        self.assertEqual(self.house.sink.events[-1]["prompt_tokens"], 5)

    def test_nothing_to_embed(self) -> None:
        """A client that preloads a model gets no vector, and pays nothing."""
        self.upstream.frames = [b'{"model":"llama3","embeddings":[]}']
        embed = self.answered("POST", "/api/embed", body())
        self.assertEqual(embed.body, self.upstream.frames[0])
        self.assertEqual(
            self.answered("POST", "/api/embeddings", body(prompt="")).body, b'{"embedding":[]}'
        )
        self.assertEqual({event["prompt_tokens"] for event in self.house.sink.events}, {0})

    def test_another_scope(self) -> None:
        """A key for chats only may not, and cannot tell that from a path that is not there."""
        self.house.keys.change(KEY[:12], scopes=frozenset({Scope.CHAT}))
        for path in ("/api/embed", "/api/embeddings"):
            self.assertEqual(self.answered("POST", path, body(input="a")).status, 403)
        self.assertEqual(self.upstream.asked, [])

    def test_nonsense(self) -> None:
        """What is no list of vectors is a 502, not an answer."""
        for answer in (b'{"error":"no"}', b'{"embeddings":["secret"]}', chat_final()):
            with self.subTest(answer=answer):
                self.upstream.frames = [answer]
                refused = self.answered("POST", "/api/embed", body(input="a"))
                self.assertEqual(refused.status, 502)
                self.assertNotIn(b"secret", refused.body)

    def test_refused(self) -> None:
        """Tokens are no text; nothing is asked."""
        refused = self.answered("POST", "/api/embed", body(input=[[1, 2]]))
        self.assertEqual(refused.status, 400)
        self.assertIn("tokens", refused.json()["error"])
        self.assertEqual(self.upstream.asked, [])


class HideTimingsTests(SurfaceTestCase):
    def test_each_route(self) -> None:
        """With HIDE_TIMINGS no route of Ollama's shows a duration."""
        surfaces = NativeSurfaces.of(hide_timings=True)
        final = {"model": "m", "response": "", "embeddings": b"[[1]]", "done": True}
        timed = {**final, "total_duration": 1, "load_duration": 2, "prompt_eval_count": 3}
        for surface in (surfaces.chat, surfaces.generate, surfaces.embed, surfaces.embeddings):
            writer = surface.writer(made_ticket(), 0.0)
            shown = {**timed, "embeddings": []} if surface.scope is Scope.CHAT else timed
            self.assertNotIn(b"duration", writer.whole(shown, Usage()))
