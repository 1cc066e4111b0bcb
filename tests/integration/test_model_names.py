"""A thousand spellings of model names: no way around a key's models, and no right of his refused.

What a spelling means is asked of the twin, which reads names as Ollama does, and worked out here
once more from Ollama's own rules (its `types/model/name.go` and `internal/modelref`).
"""

import http.client
import json
import random
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import Stack, shared_stack
from tests.http_client import HOST, TIMEOUT_S, ask
from tests.processes import eventually

COUNT = 1000
PATHS = 300
LONGEST = 512
"""The gateway reads no longer name; Ollama's own are of 593 at most."""

LLAMA = "llama3.2:latest"
HUGGING = "hf.co/org/llama3.2:q4_k_m"
ALLOWED = (LLAMA, HUGGING)
INSTALLED = (
    *ALLOWED,
    "llama3.2:8b",
    "llama3:latest",
    "org/llama3.2:latest",
    "localhost:5000/library/llama3.2:latest",
    "qwen3:8b",
    "cloud:latest",
    "local:latest",
)
NOBODYS = "not-installed"

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
BLANKS = (
    *("\t", "\n", "\v", "\f", "\r", " ", "\x85", "\xa0", "\u1680", "\u2000", "\u2003", "\u200a"),
    *("\u2028", "\u2029", "\u202f", "\u205f", "\u3000"),
)
NO_BLANKS = ("\x00", "\x1c", "\x1f", "\x7f", "\u180e", "\u200b", "\u2060", "\ufeff")
LOOKALIKES = ("\u212a", "\u017f", "\u0131", "\u0130", "\uff4c", "\u0430", "\u2113", "l\u0301")
SIGNS = ("/", ":", ".", "-", "_", "@", "%", "\\", "?", "#", "*", "..", "//", "%2F", "%3A", "%00")
SUFFIXES = (
    *(":local", ":LOCAL", ": local", ":\xa0Local ", ":cloud", ":Cloud", "-cloud", "-CLOUD"),
    *(":local:local", ":cloud:local", ":latest:local", ":latest", ":8b", ":", "::", "@sha256:00"),
)
PREFIXES = (
    *("http://", "HTTPS://", "a b://", "://", "http:///", "/", "//", "./", "../", "a://b://"),
    *("library/", "registry.ollama.ai/", "ollama.com/library/", "registry.ollama.ai/library/"),
    *("https://registry.ollama.ai/library/", "http:///library/", "registry.ollama.ai:443/library/"),
)


def meaning(spelling: str) -> str | None:
    """The model of Ollama's list that a spelling means; None for none, or one in the cloud."""
    text, source = _source(_trimmed(spelling))
    if source == "cloud" or (source and _source(text)[1]):
        return None
    parts = text.split("/")
    model, _, tag = parts[-1].rpartition(":") if ":" in parts[-1] else (parts[-1], "", "latest")
    namespace = parts[-2] if len(parts) > 1 else "library"
    host = "/".join(parts[:-2]) if len(parts) > 2 else "registry.ollama.ai"
    if "://" in host:
        host = host.split("://", 1)[1] or "registry.ollama.ai"
    for part, most, signs in (
        (host, 350, "-.:"),
        (namespace, 80, "-"),
        (model, 80, "-."),
        (tag, 80, "-."),
    ):
        if not 1 <= len(part) <= most or part[0] not in LETTERS or set(part) - LETTERS - set(signs):
            return None
    owner = f"{host}/{namespace}/".lower()
    return (
        f"{owner}{model}:{tag}".lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    )


def _source(text: str) -> tuple[str, str]:
    """A name without the suffix that says where a model is, and that suffix's word."""
    base, colon, suffix = text.rpartition(":")
    word = _trimmed(suffix).lower()
    if colon and word in {"cloud", "local"}:
        return base, word
    return text, "cloud" if colon and word.endswith("-cloud") and "/" not in word else ""


def _trimmed(text: str) -> str:
    return text.strip("".join(BLANKS) + "".join(map(chr, range(0x2000, 0x200B))))


Change = Callable[[random.Random, str], str]


def _cased(chance: random.Random, name: str) -> str:
    return "".join(chance.choice((letter.lower(), letter.upper())) for letter in name)


def _short(_: random.Random, name: str) -> str:
    return name.removesuffix(":latest")


def _blanks(chance: random.Random, name: str) -> str:
    return f"{chance.choice(('', *BLANKS))}{name}{''.join(chance.choices(BLANKS, k=2))}"


def _odd_blanks(chance: random.Random, name: str) -> str:
    return chance.choice((f"{{}}{name}", f"{name}{{}}")).format(chance.choice(NO_BLANKS))


def _prefixed(chance: random.Random, name: str) -> str:
    return chance.choice(PREFIXES) + name


def _suffixed(chance: random.Random, name: str) -> str:
    return name + chance.choice(SUFFIXES)


def _replaced(chance: random.Random, name: str) -> str:
    at = chance.randrange(len(name))
    return name[:at] + chance.choice((*LOOKALIKES, *SIGNS, *BLANKS)) + name[at + 1 :]


def _inserted(chance: random.Random, name: str) -> str:
    at = chance.randrange(len(name) + 1)
    return name[:at] + chance.choice((*SIGNS, *NO_BLANKS, *BLANKS)) + name[at:]


def _escaped(_: random.Random, name: str) -> str:
    return quote(name, safe="")


def _padded(chance: random.Random, name: str) -> str:
    """A name with a part about as long as Ollama allows it."""
    host, space, model = (chance.choice((most - 1, most, most + 1)) for most in (350, 80, 80))
    return chance.choice(
        (f"{'h' * host}/org/{name}", f"{'n' * space}/{name}", "m" * model, f"{name}{'t' * model}")
    )


HARMLESS: tuple[Change, ...] = (_cased, _short, _blanks, _short, _cased)
HARMFUL: tuple[Change, ...] = (
    *(_odd_blanks, _prefixed, _suffixed, _replaced, _inserted, _escaped, _padded),
    *(_prefixed, _suffixed),
)


def spellings() -> list[str]:
    """As many spellings as are tried, all different and the same in every run."""
    chance = random.Random(6)
    found: dict[str, None] = {}
    while len(found) < COUNT:
        name = chance.choice((LLAMA, LLAMA, HUGGING, *INSTALLED))
        for change in chance.sample(HARMLESS, chance.randint(0, 3)):
            name = change(chance, name)
        for change in chance.sample(HARMFUL, chance.choice((0, 0, 1, 1, 2))):
            name = change(chance, name)
        found[name] = None
    return list(found)


@define(eq=False)
class Caller:
    """Requests of one key on one connection."""

    port: int
    headers: Mapping[str, str]
    _connection: http.client.HTTPConnection = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_S)

    def ask(self, method: str, path: str, **body: object) -> tuple[int, Any]:
        """The status and the body of an answer, without its request id."""
        data = json.dumps(body).encode() if body else None
        self._connection.request(method, path, data, dict(self.headers))
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        for holder in (answer, answer.get("error")):
            if isinstance(holder, dict):
                holder.pop("request_id", None)
        return response.status, answer

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


GRAPHIC = frozenset(map(chr, range(33, 127)))


class ModelNameTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A host with several models, and a key that may use two of them."""
        self.stack = self.stack_with_models()
        key = self.stack.new_key(allow_all_models=False, models=ALLOWED)
        self.gateway = Caller(self.stack.port, {"Authorization": f"Bearer {key}"})
        self.twin = Caller(self.stack.mock.port, {})
        self.addCleanup(self.gateway.close)
        self.addCleanup(self.twin.close)
        self.refusal = self.gateway.ask("POST", "/api/chat", model=NOBODYS)
        self.assertEqual(self.refusal[0], 403)

    def stack_with_models(self) -> Stack:
        """A stack whose gateway has seen the models."""
        stack = shared_stack(MODEL_DISCOVERY_REFRESH_S="1")
        ask(stack.mock.port, "POST", "/mock/config", {"models": list(INSTALLED)})
        key = stack.new_key()

        def found() -> bool:
            tags = ask(stack.port, "GET", "/api/tags", key=key).json()["models"]
            return {tag["name"] for tag in tags} == set(INSTALLED)

        eventually(found)
        return stack

    def test_spellings(self) -> None:
        """Both readings of Ollama's rules agree on what the spellings mean, which is various."""
        by_digest = {
            tag["digest"]: tag["name"] for tag in self.twin.ask("GET", "/api/tags")[1]["models"]
        }
        means = {}
        for spelling in spellings():
            status, shown = self.twin.ask("POST", "/api/show", model=spelling)
            digest = shown["modelfile"].partition("sha256-")[2][:64] if status == 200 else ""
            means[spelling] = by_digest.get(digest)
            found = meaning(spelling)
            self.assertEqual(
                means[spelling], found if found in INSTALLED else None, ascii(spelling)
            )
        for name in (None, *INSTALLED):
            self.assertGreater(list(means.values()).count(name), 5, name)

    def test_bodies(self) -> None:
        """What means a model of the key is served under that model's one name; nothing else is."""
        wanted = []
        self.twin.ask("POST", "/mock/reset")
        for spelling in spellings():
            model = meaning(spelling)
            status, answer = self.gateway.ask("POST", "/api/chat", model=spelling, stream=False)
            if len(spelling) > LONGEST or not spelling.strip():
                self.assertEqual((status, answer["code"]), (400, "invalid_request"))
            elif model in ALLOWED:
                self.assertEqual(status, 200, ascii(spelling))
                wanted.append(model)
            else:
                self.assertEqual((status, answer), self.refusal, ascii(spelling))
        asked = [
            one["body"]["model"] for one in self.stack.mock.seen() if one["path"] == "/api/chat"
        ]
        self.assertEqual(asked, wanted)
        self.assertGreater(len(wanted), COUNT // 8)

    def test_details(self) -> None:
        """`/api/show` draws the same line."""
        for spelling in spellings()[:PATHS]:
            model = meaning(spelling)
            status, answer = self.gateway.ask("POST", "/api/show", model=spelling)
            if len(spelling) <= LONGEST and spelling.strip():
                expected = 200 if model in ALLOWED else 403
                self.assertEqual(status, expected, ascii(spelling))
            self.assertNotIn("digest", json.dumps(answer))

    def test_paths(self) -> None:
        """So does `/v1/models/{id}`, with slashes written plainly or escaped."""
        for spelling in spellings()[:PATHS]:
            model = meaning(spelling)
            for safe in ("", "/:"):
                path = f"/v1/models/{quote(spelling, safe=safe)}"
                status, answer = self.gateway.ask("GET", path)
                if status == 200:
                    self.assertIn(model, ALLOWED, ascii(spelling))
                    self.assertEqual(answer["id"], model)
                else:
                    self.assertIn(status, {400, 403, 414}, ascii(spelling))
                # A path has no blanks, whatever a body may have (edge/request.py).
                plain = spelling.isascii() and not set(spelling) - GRAPHIC and "//" not in spelling
                if model in ALLOWED and plain:
                    self.assertEqual(status, 200, path)
