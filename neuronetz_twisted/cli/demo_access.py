"""The demo's tenant and key, and five calls with it that show what the gateway does (SPEC 13)."""

import shlex
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import field, frozen
from sqlalchemy import Connection

from neuronetz_twisted.cli.exchange import Answer, NoAnswer, exchange
from neuronetz_twisted.cli.new_keys import add_key
from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.cli.session import database
from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores.operator_queries import create_tenant, list_keys, list_tenants
from neuronetz_twisted.vocabulary import Scope

NAME = "demo"

_SCOPES = (Scope.CHAT, Scope.EMBEDDINGS)
_OK, _UNAUTHORIZED = 200, 401
_DEFAULT_MODEL = "llama3.2:latest"
_WRONG_KEY = "nz_not-a-key"


@frozen
class DemoClient:
    """Calls the demo's gateway as a client with a key would."""

    url: str
    key: str = field(repr=False)

    def works(self) -> bool:
        """Whether the key is accepted. Raises `Fault` where the gateway cannot say."""
        answer = self._ask("GET", "/v1/models")
        if answer.status not in {_OK, _UNAUTHORIZED}:
            raise Fault(f"the gateway answers {answer.status} to a list of models")
        return answer.status == _OK

    def chat_model(self) -> str | None:
        """The first model that can chat, None if there is none."""
        for entry in self._json("GET", "/v1/models").get("data", []):
            details = self._json("POST", "/api/show", {"model": entry["id"]})
            if "completion" in details.get("capabilities", ["completion"]):
                return str(entry["id"])
        return None

    def curls(self, model: str | None) -> list[tuple[str, str]]:
        """Five commands with a word on what each shows."""
        name = model or _DEFAULT_MODEL
        message = [{"role": "user", "content": "Why is the sky blue?"}]
        chat = {"model": name, "messages": message}
        return [
            (
                "chat, OpenAI's surface, a stream of events (SSE)",
                self._curl("/v1/chat/completions", {**chat, "stream": True}, flags="-sN"),
            ),
            (
                "chat, Ollama's surface, a stream of lines (NDJSON)",
                self._curl("/api/chat", chat, flags="-sN"),
            ),
            ("the models this key may use", self._curl("/v1/models")),
            ("a wrong key: 401", self._curl("/v1/models", key=_WRONG_KEY, flags="-si")),
            (
                "what no key may do, here to pull a model: 403",
                self._curl("/api/pull", {"model": name}, flags="-si"),
            ),
        ]

    def _curl(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        flags: str = "-s",
    ) -> str:
        words = [
            "curl",
            flags,
            f"{self.url}{path}",
            "-H",
            f"Authorization: Bearer {key or self.key}",
        ]
        if body is not None:
            words += ["-d", orjson.dumps(body).decode()]
        return shlex.join(words)

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._ask(method, path, body)
        if answer.status != _OK:
            raise Fault(f"the gateway answers {answer.status} to {path}")
        return orjson.loads(answer.body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        try:
            return exchange(
                method,
                f"{self.url}{path}",
                headers={"Authorization": f"Bearer {self.key}"},
                body=None if body is None else orjson.dumps(body),
            )
        except NoAnswer as error:
            raise Fault(f"the gateway does not answer: {error}") from None


def working_key(settings: Settings, url: str, remembered: str | None) -> str:
    """The remembered key, or a new one of tenant `demo` where that does not work.

    Raises `Fault`.
    """
    if remembered is not None and DemoClient(url, remembered).works():
        return remembered
    with database(settings) as operator:
        name = operator.run(_have_tenant)
        key = add_key(operator, settings, tenant=NAME, name=name, scopes=_SCOPES)
    if not DemoClient(url, key).works():
        raise Fault(f"the gateway refuses a new key: is the tenant {NAME!r} disabled?")
    return key


def _have_tenant(connection: Connection) -> str:
    """Make the tenant if it is not there; returns a name that none of its keys has."""
    if NAME not in {tenant.name for tenant in list_tenants(connection)}:
        create_tenant(connection, NAME, allow_all_models=True)
    taken = {key.name for key in list_keys(connection, NAME)}
    free = (f"{NAME}-{number}" for number in range(2, len(taken) + 3))
    return NAME if NAME not in taken else next(name for name in free if name not in taken)
