"""Every path, to the letter, through the channel (SPEC 3)."""

import re
from urllib.parse import quote_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from neuronetz_twisted.edge.request import ROUTES
from neuronetz_twisted.edge.routes import Routes
from tests.unit.edge.house import KEY, House
from tests.unit.edge.surface import SurfaceTestCase

URI = re.compile(r"(?:/|https?://gateway)[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]*|\*")
"""A target that is well framed: the text here is never another's authority (RFC 9112 3.2)."""

PUBLIC = {"/", "/healthz", "/readyz"}
WRITTEN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
ENCODED = st.binary(max_size=4).map(quote_from_bytes)
PATHS = st.tuples(
    st.sampled_from([*sorted(route.decode() for route in ROUTES), "/v1/models/", "/v1/models/a"]),
    WRITTEN | ENCODED | st.sampled_from(["%0A", "%0a%0a", "/..", "//", "/", "?", "%2e%2e/"]),
    WRITTEN | ENCODED,
).map("".join) | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


class PathTests(SurfaceTestCase):
    def test_unknown_paths(self) -> None:
        """Whatever is not a route to the letter is 403 with a key, 401 without; never forwarded."""
        for path in (
            "/api/pull",
            "/api/chat/",
            "/api//chat",
            "//api/chat",
            "/api%2Fchat",
            "/api/%63hat",
            "/API/chat",
            "/api/tags;x",
            "/api/./tags",
            "/x/../api/tags",
            "/v1/models/",
            "/v1/models//x",
            "/v1/models/%2Fx",
            "/v1/models/%FF",
            "/v1/models/a%0A",
            "/v1/models/a%0Ab",
            "/v1/models/a%20b",
            "/v1/models/.a",
            "/unknown",
            "/%FF",
            "/v1",
            "/favicon.ico",
            "*",
            "http://gateway/api//tags",
            "/v1/models/a//b",
        ):
            for method in ("GET", "POST", "DELETE", "BREW"):
                with self.subTest(path=path, method=method):
                    self.assertEqual(self.answered(method, path).status, 403)
                    bare = self.house.connect().request(method, path).answer()
                    self.assertEqual(bare.status, 401)
        self.assertEqual(self.upstream.asked, [])

    @settings(deadline=None)
    @given(PATHS)
    def test_any_path_without_a_key(self, path: str) -> None:
        """Our 401 and nothing of the router's, but for the pages that need no key."""
        for method in ("GET", "POST", "HEAD"):
            answer = House().connect().request(method, path).answer(head=method == "HEAD")
            if not URI.fullmatch(path):
                self.assertEqual(answer.status, 400)
                continue
            if path.partition("?")[0] in PUBLIC:
                self.assertIn(answer.status, {200, 405})
                continue
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(answer.status, 401)
            if method != "HEAD":
                body = answer.json()
                code = body["error"] if path.startswith("/v1/") else body
                self.assertEqual(code["code"], "invalid_api_key")

    def test_raw_bytes(self) -> None:
        """A request line that is not ASCII is bad framing."""
        client = self.house.connect()
        client.send(b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\n\r\n" % KEY.encode())
        self.assertTrue(client.value().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(client.half_closed)

    def test_query(self) -> None:
        """A query changes nothing."""
        self.assertEqual(self.answered("GET", "/api/tags?x=%FF").status, 200)

    def test_absolute_form(self) -> None:
        """A target with an authority is the path behind it (RFC 9112 3.2.2)."""
        self.assertEqual(self.answered("GET", "http://gateway/api/tags?x").status, 200)
        self.assertEqual(self.answered("GET", "HTTPS://other:1").status, 200)

    def test_methods(self) -> None:
        """Another method on a known path is 405 and says which there are."""
        for path, allow in (
            ("/api/chat", "POST"),
            ("/api/generate", "POST"),
            ("/api/embed", "POST"),
            ("/api/embeddings", "POST"),
            ("/v1/chat/completions", "POST"),
            ("/api/show", "POST"),
            ("/api/tags", "GET, HEAD"),
            ("/api/version", "GET, HEAD"),
            ("/v1/models", "GET"),
            ("/v1/models/x", "GET"),
        ):
            with self.subTest(path=path):
                answer = self.answered("PATCH", path)
                self.assertEqual((answer.status, answer.headers["allow"]), (405, allow))
                self.assertEqual(self.house.connect().request("PATCH", path).answer().status, 401)

    def test_the_table_is_what_klein_knows(self) -> None:
        """No rule of Klein's is out of reach, and no path leads nowhere."""
        rules = {rule.rule.encode() for rule in Routes.app.url_map.iter_rules()}
        self.assertEqual(rules, ROUTES | {b"/v1/models/<path:name>", b"/unknown"})
