"""Who is calling, headers and body, in the order of SPEC 8, through the channel."""

import orjson

from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.upstream import chat_final
from tests.unit.edge.house import BODY_LIMIT, KEY, MAX_PREDICT, WALL
from tests.unit.edge.surface import CHAT, FOLDED, SurfaceTestCase, fixed


class IdentityTests(SurfaceTestCase):
    def test_every_401_is_the_same(self) -> None:
        """Byte for byte, but for id and date; the record alone says why."""
        cases: tuple[dict[str, str], ...] = (
            {},
            {"Authorization": "Bearer nz_x"},
            {"Authorization": f"Bearer {KEY[:-1]}"},
            {"Authorization": f"Basic {KEY}"},
            {"Authorization": f"Bearer {KEY} x"},
            {"x_api_key": KEY, "Authorization": "Bearer other"},
            {"Authorization": ""},
        )
        answers = [
            fixed(self.house.connect().request("POST", "/api/chat", CHAT, **headers).answer())
            for headers in cases
        ]
        for answer in answers:
            self.assertEqual(answer, answers[0])
        status, headers, _ = answers[0]
        self.assertEqual((status, headers["www-authenticate"]), (401, "Bearer"))

    def test_two_credentials_in_one_name(self) -> None:
        """Two fields of one name are none, even if each is good."""
        client = self.house.connect()
        field = b"Authorization: Bearer %b\r\n" % KEY.encode()
        client.send(b"GET /api/tags HTTP/1.1\r\nHost: x\r\n" + field * 2 + b"\r\n")
        self.assertEqual(client.answer().status, 401)

    def test_either_header(self) -> None:
        """Bearer or x-api-key."""
        client = self.house.connect().request("GET", "/api/tags", x_api_key=KEY)
        self.assertEqual(client.answer().status, 200)

    def test_address_is_that_of_the_peer(self) -> None:
        """A client that is no trusted proxy cannot choose the address it counts under."""
        self.house.ask("GET", "/api/tags", X_Forwarded_For="198.51.100.1").answer()
        self.assertEqual(self.house.sink.events[0]["address"], "192.0.2.1")


class HeaderTests(SurfaceTestCase):
    def test_request_id(self) -> None:
        """Ours is new each time; the client's own word is echoed if it is fit for that."""
        first = self.answered("GET", "/api/version", X_Request_ID="their-id.1")
        second = self.answered("GET", "/api/version", X_Request_ID="their id")
        self.assertEqual(first.headers["x-client-request-id"], "their-id.1")
        self.assertNotIn("x-client-request-id", second.headers)
        self.assertNotEqual(first.headers["x-request-id"], second.headers["x-request-id"])
        event = self.house.sink.events[0]
        self.assertEqual(
            (event["id"], event["client_id"]), (first.headers["x-request-id"], "their-id.1")
        )

    def test_errors_carry_the_id(self) -> None:
        """In the header and in the body, in both dialects."""
        native = self.answered("POST", "/api/chat", b"[]")
        openai = self.answered("POST", "/v1/chat/completions", b"[]")
        self.assertEqual(native.json()["request_id"], native.headers["x-request-id"])
        self.assertEqual(openai.json()["error"]["request_id"], openai.headers["x-request-id"])
        self.assertEqual(openai.json()["error"]["type"], "invalid_request_error")

    def test_media_types(self) -> None:
        """An encoded or multipart body is 415; any other type is read."""
        for headers, status in (
            ({"Content_Encoding": "gzip"}, 415),
            ({"Content_Encoding": "gzip, identity"}, 415),
            ({"Content_Type": "Multipart/form-data; boundary=x"}, 415),
            ({"Content_Encoding": "Identity"}, 400),
            ({"Content_Type": "application/x-www-form-urlencoded"}, 400),
            ({"Content_Type": "text/plain"}, 400),
        ):
            with self.subTest(headers=headers):
                self.assertEqual(
                    self.answered("POST", "/api/chat", b"[]", **headers).status, status
                )

    def test_form_bodies_are_not_parsed(self) -> None:
        """`curl -d` sends a form's type; its body is JSON all the same."""
        self.upstream.frames = [chat_final()]
        kind = "application/x-www-form-urlencoded"
        self.assertEqual(self.answered("POST", "/api/chat", FOLDED, Content_Type=kind).status, 200)

    def test_no_server_header(self) -> None:
        """Nothing tells which software this is."""
        self.assertNotIn("server", self.answered("GET", "/api/version").headers)


class BodyTests(SurfaceTestCase):
    def test_limit(self) -> None:
        """The limit is exact; a larger body is 413 and names the limit and its variable."""
        for size, status in ((BODY_LIMIT, 400), (BODY_LIMIT + 1, 413), (50 * BODY_LIMIT, 413)):
            with self.subTest(size=size):
                answer = self.answered("POST", "/api/chat", b" " * size)
                self.assertEqual(answer.status, status)
        self.assertIn(f"{BODY_LIMIT} bytes (MAX_REQUEST_BODY_BYTES, ", answer.json()["error"])

    def test_chunked(self) -> None:
        """A body without a length has the same limit."""
        for count, status in ((1, 400), (30, 413)):
            client = self.house.ask("POST", "/api/chat", Transfer_Encoding="chunked")
            client.send(b"a\r\n          \r\n" * count + b"0\r\n\r\n")
            self.assertEqual(client.answer().status, status)

    def test_own_limit(self) -> None:
        """Key and tenant may have a lower one, which counts however the body is sent."""
        for tenant, key in ((50, None), (None, 50), (50, 60), (60, 50)):
            limits = Limits(max_body_bytes=tenant), Limits(max_body_bytes=key)
            self.set_limits(*limits)
            for path in ("/api/chat", "/api/show"):
                with self.subTest(tenant=tenant, key=key, path=path):
                    self.assertEqual(self.answered("POST", path, b" " * 50).status, 400)
                    answer = self.answered("POST", path, b" " * 51)
                    self.assertEqual(answer.status, 413)
                    self.assertIn("the body is over 50 bytes", answer.json()["error"])
                    client = self.house.ask("POST", path, Transfer_Encoding="chunked")
                    client.send(b"a\r\n          \r\n" * 6 + b"0\r\n\r\n")
                    self.assertEqual(client.answer().status, 413)
        self.set_limits(Limits(max_body_bytes=10 * BODY_LIMIT), Limits())
        answer = self.answered("POST", "/api/chat", b" " * (BODY_LIMIT + 1))
        self.assertEqual(answer.status, 413)

    def test_own_cap_of_tokens(self) -> None:
        """What is asked for above the caller's own cap is lowered to it, and named."""
        self.upstream.frames = [chat_final()]
        for tenant, key, cap in (
            (None, None, MAX_PREDICT),
            (5, None, 5),
            (5, 3, 3),
            (3, 5, 3),
            (10 * MAX_PREDICT, None, MAX_PREDICT),
        ):
            with self.subTest(tenant=tenant, key=key):
                self.set_limits(Limits(max_predict=tenant), Limits(max_predict=key))
                asked = orjson.loads(FOLDED) | {"options": {"num_predict": MAX_PREDICT + 1}}
                answer = self.answered("POST", "/api/chat", orjson.dumps(asked))
                self.assertEqual(answer.headers["x-gateway-ignored"], "num_predict")
                body = self.upstream.asked[-1].call.request.body
                self.assertEqual(body["options"]["num_predict"], cap)

    def set_limits(self, tenant: Limits, key: Limits) -> None:
        """Change what is set, as an operator would, and let the gateway hear of it."""
        changes = {"tenant_limits": tenant, "key_limits": key}
        row = self.house.keys.change(KEY[:12], **changes)
        self.house.identifier.epoch_changed(row.tenant_id, row.epoch)

    def test_order_of_checks(self) -> None:
        """Identity, path, method, headers, size, fields: the first that fails is the answer."""
        big, bad = b" " * (BODY_LIMIT + 1), b"[]"
        gzip = {"Content_Encoding": "gzip"}
        no_key = {"Authorization": "-", **gzip}
        for method, path, body, headers, status in (
            ("PUT", "/api/pull", big, no_key, 401),
            ("PUT", "/api/chat", big, no_key, 401),
            ("PUT", "/api/pull", big, gzip, 403),
            ("PUT", "/api/chat", big, gzip, 405),
            ("POST", "/api/chat", big, gzip, 415),
            ("POST", "/api/chat", big, {}, 413),
            ("POST", "/api/chat", bad, {}, 400),
        ):
            with self.subTest(status=status):
                self.assertEqual(self.answered(method, path, body, **headers).status, status)


class RecordTests(SurfaceTestCase):
    """No answer without a record (SPEC 9)."""

    EVERY = (
        ("POST", "/api/chat", CHAT),
        ("POST", "/v1/chat/completions", CHAT),
        ("GET", "/api/tags", None),
        ("POST", "/api/show", b'{"model":"llama3"}'),
        ("GET", "/v1/models/llama3", None),
        ("GET", "/gateway/usage", None),
        ("GET", "/api/pull", None),
    )

    def test_denied(self) -> None:
        """While no record can be kept, every route but those without a key is 503, key or not."""
        self.house.trail.denies = "io"
        for method, path, body in self.EVERY:
            for headers in ({}, {"Authorization": "-"}):
                with self.subTest(path=path, headers=headers):
                    answer = self.answered(method, path, body, **headers)
                    self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
                    self.assertIn(b'"audit_unavailable"', answer.body)
        self.assertEqual(self.upstream.asked, [])
        self.assertEqual(self.house.limiter.admitted, [])

    def test_what_is_exempt(self) -> None:
        """Health and greeting answer all the same, and so does `OPTIONS *`, as ever."""
        self.house.trail.denies = "io"
        for path, status in (("/", 200), ("/healthz", 200), ("/readyz", 200)):
            self.assertEqual(self.answered("GET", path).status, status)
        self.assertEqual(self.answered("OPTIONS", "*").status, 403)
        self.assertEqual(self.answered("OPTIONS", "*", Authorization="-").status, 401)
        self.assertEqual(self.answered("OPTIONS", "/api/tags").status, 503)
        self.assertEqual(self.answered("GET", "*").status, 503)

    def test_recovers(self) -> None:
        """As soon as there is room again."""
        self.house.trail.denies = "full"
        self.assertEqual(self.answered("GET", "/api/tags").status, 503)
        self.house.trail.denies = None
        self.assertEqual(self.answered("GET", "/api/tags").status, 200)

    def test_no_room_for_a_list(self) -> None:
        """A list that cannot be put on record is not given."""
        self.house.trail.full = True
        for method, path, body in self.EVERY[2:6]:
            with self.subTest(path=path):
                answer = self.answered(method, path, body)
                self.assertEqual(answer.status, 503)
                self.assertEqual(self.house.sink.outcomes[-1], "refused:audit_unavailable/full")

    def test_recorded_before_it_is_answered(self) -> None:
        """A list is on record, with its size, when its first byte goes out."""
        answer = self.answered("GET", "/api/tags")
        (note,) = self.house.trail.notes
        self.assertEqual((note["outcome"], note["bytes_sent"]), ("ok", len(answer.body)))

    def test_when(self) -> None:
        """The record has the moment of the wall clock; the id has the same."""
        self.answered("GET", "/api/tags")
        (note,) = self.house.trail.notes
        self.assertEqual((note["at"], note["day"]), (int(WALL * 1_000_000), "2023-11-14"))
        milliseconds = int(str(note["id"]).replace("-", "")[:12], 16)
        self.assertEqual(milliseconds, int(WALL * 1000))

    def test_a_flood_of_refusals(self) -> None:
        """Only some have a record of their own; all the others are counted in one."""
        for _ in range(30):
            self.answered("GET", "/api/pull")
        self.assertEqual(len(self.house.trail.notes), 10)
        self.house.settlement.minute_over()
        self.assertEqual(self.house.trail.notes[10]["count"], 20)


class AskingTests(SurfaceTestCase):
    def test_usage(self) -> None:
        """The caller sees his own use; that he asked is on record."""
        answer = self.answered("GET", "/gateway/usage")
        self.assertEqual(answer.json(), {"key": str(self.house.row.key_id)})
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(self.house.sink.outcomes, ["ok"])
        self.assertEqual(len(self.house.limiter.counted), 1)

    def test_no_database(self) -> None:
        """Without the ledger nobody can say."""
        self.house.usage.away = True
        answer = self.answered("GET", "/gateway/usage")
        self.assertEqual((answer.status, answer.json()["code"]), (503, "audit_unavailable"))
        self.assertEqual(self.house.sink.outcomes, ["refused:audit_unavailable/database"])

    def test_other_methods(self) -> None:
        """It is read, never written."""
        answer = self.answered("POST", "/gateway/usage", b"")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET"))

    def test_client_goes(self) -> None:
        """Whoever goes before the ledger has answered has left."""
        self.house.usage.gate.held = True
        client = self.house.ask("GET", "/gateway/usage")
        client.leave()
        self.assertEqual(self.house.sink.outcomes, ["client_abort"])
        self.house.usage.gate.release_all()
        self.assertEqual(len(self.house.trail.notes), 1)
