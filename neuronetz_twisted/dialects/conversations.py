"""Conversations of other dialects as native chats. Pure.

Messages, the calls of tools in them and what those gave are put one behind the other, as Ollama's
`ChatRequest` has them (its `api/types.go`); then all is counted once, in the form in which it goes
to the model host.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from neuronetz_twisted.dialects.fields import read_object
from neuronetz_twisted.dialects.native_requests import (
    CHAT_PATH,
    bytes_of_chat,
    images_of_chat,
)
from neuronetz_twisted.dialects.tools import MAX_CALLS, read_tool_calls
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest


@define
class Conversation:
    """A native chat as it is written; `ignored` names what was left out of it."""

    ignored: list[str] = field(factory=list)
    messages: list[dict[str, Any]] = field(factory=list)
    _tools: dict[str, str] = field(factory=dict, init=False)
    """The name of the tool of each call, which templates of models ask for beside a result."""

    def say(
        self, role: str, content: str, *, thinking: str = "", images: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Add a message; gives it."""
        message: dict[str, Any] = {"role": role, "content": content}
        if thinking:
            message["thinking"] = thinking
        if images:
            message["images"] = list(images)
        self.messages.append(message)
        return message

    def call(self, message: dict[str, Any], calls: Sequence[Mapping[str, Any]]) -> None:
        """Add calls, each with `id`, `name` and `arguments`, to those of an assistant's message.

        Raises `InvalidRequest` where they are too many.
        """
        native = [
            {"id": call["id"], "function": {name: call[name] for name in ("name", "arguments")}}
            for call in calls
        ]
        if native:
            known = message.setdefault("tool_calls", [])
            known += read_tool_calls(native, self.ignored)
            if len(known) > MAX_CALLS:
                raise InvalidRequest(f"more than {MAX_CALLS} calls at once", param="tool_calls")
            self._tools.update((call["id"], call["name"]) for call in calls)

    def give(self, call: str, content: str, images: Sequence[str] = ()) -> None:
        """Add what a tool gave to the call with this id."""
        message = self.say("tool", content, images=images)
        message["tool_call_id"] = call
        if call in self._tools:
            message["tool_name"] = self._tools[call]

    def request(  # noqa: PLR0913 - the fields of a request
        self,
        *,
        model: str,
        options: Mapping[str, Any],
        tools: Sequence[Mapping[str, Any]],
        beside: Mapping[str, Any],
        stream: bool,
        predict_name: str | None,
        echo: Mapping[str, Any] | None = None,
    ) -> NativeRequest:
        """The whole chat as a request; what is None `beside` its messages is left out.

        Raises `InvalidRequest` for images that are none, too many or too large.
        """
        asked = {"messages": self.messages, "options": options, "tools": tools or None, **beside}
        body = {name: value for name, value in asked.items() if value is not None}
        return NativeRequest(
            path=CHAT_PATH,
            model=model,
            body=body,
            stream=stream,
            ignored=tuple(self.ignored),
            prompt_bytes=bytes_of_chat(body),
            images=images_of_chat(self.messages),
            predict_name=predict_name,
            echo=echo,
        )


def arguments_of(text: str, name: str) -> dict[str, Any]:
    """The arguments of a call that are written as JSON; none at all are no arguments."""
    try:
        return read_object(text.encode()) if text else {}
    except InvalidRequest:
        raise InvalidRequest(f"{name} must be a JSON object", param=name) from None
