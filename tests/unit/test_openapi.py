"""`docs/openapi.yaml`, held against the tables in the code; that it is true is asked elsewhere."""

import re
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import errors
from neuronetz_twisted.dialects import (
    anthropic_requests,
    native_fields,
    openai_completions,
    openai_embeddings,
    openai_messages,
    openai_requests,
    responses_requests,
    tools,
)
from tests.openapi import DOCUMENT, known_paths, read_openapi

DIALECTS = ("Native", "OpenAI", "Anthropic")

BODIES = {
    "ChatRequest": native_fields.CHAT,
    "Message": native_fields.MESSAGE,
    "Options": native_fields.OPTIONS,
    "GenerateRequest": native_fields.GENERATE,
    "EmbedRequest": native_fields.EMBED,
    "EmbedOptions": native_fields.EMBED_OPTIONS,
    "EmbeddingsRequest": native_fields.EMBEDDINGS,
    "ShowRequest": native_fields.SHOW,
    "ChatCompletionRequest": openai_requests.CHAT,
    "ChatCompletionMessage": openai_messages.MESSAGE,
    "CompletionRequest": openai_completions.COMPLETION,
    "EmbeddingRequest": openai_embeddings.EMBEDDINGS,
    "ResponseRequest": responses_requests.RESPONSES,
    "MessagesRequest": anthropic_requests.MESSAGES,
    "Tool": tools.TOOL,
    "ToolCall": tools.CALL,
}
"""The schemas of objects in requests, and the tables that they are checked by."""


class OpenApiTests(SynchronousTestCase):
    """`openapi.yaml` tells of what the code has; the integration tests ask for it."""

    def test_routes(self) -> None:
        """It has the routes of the table in the code."""
        self.assertEqual(set(read_openapi()["paths"]), known_paths())

    def test_operation_ids(self) -> None:
        """Each operation has a name of its own."""
        paths = read_openapi()["paths"].values()
        names = [operation["operationId"] for item in paths for operation in item.values()]
        self.assertEqual(len(set(names)), len(names))

    def test_errors(self) -> None:
        """It has every refusal's code under its status, in each dialect, and no other."""
        refusals = {(kind.status, kind.code) for kind in errors.Refusal.__subclasses__()}
        for dialect in DIALECTS:
            self.assertEqual(_documented_errors(read_openapi(), dialect), refusals, dialect)

    def test_fields(self) -> None:
        """A body has in it the fields that its table takes or refuses, and no other but dropped."""
        schemas = read_openapi()["components"]["schemas"]
        for name, table in BODIES.items():
            with self.subTest(schema=name):
                listed = schemas[name]["properties"].keys()
                self.assertEqual(listed - table.dropped, table.taken.keys() | table.refused.keys())

    def test_nothing_unused(self) -> None:
        """Each component is referred to."""
        there = {
            f"#/components/{kind}/{name}"
            for kind, components in read_openapi()["components"].items()
            for name in components
            if kind != "securitySchemes"
        }
        self.assertEqual(
            there - set(re.findall(r'\$ref: "(.+?)"', DOCUMENT.read_text(encoding="utf-8"))), set()
        )


def _documented_errors(data: Mapping[str, Any], dialect: str) -> set[tuple[int, str]]:
    """Status and code of the error responses of a dialect that operations refer to."""
    prefix = f"#/components/responses/{dialect}"
    found = set()
    for item in data["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if response["$ref"].startswith(prefix):
                    name = response["$ref"].rpartition("/")[2]
                    found |= {(int(status), code) for code in _codes(data, name)}
    return found


def _codes(data: Mapping[str, Any], response: str) -> list[str]:
    """The codes that an error response may have."""
    content = data["components"]["responses"][response]["content"]["application/json"]
    _, pinned = content["schema"]["allOf"]
    properties = pinned["properties"]
    code = properties.get("code") or properties["error"]["properties"]["code"]
    return code.get("enum") or [code["const"]]
