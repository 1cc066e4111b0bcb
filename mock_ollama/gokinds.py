"""The kinds of Go types that Ollama's requests are made of, each decoding as encoding/json does."""

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from mock_ollama.godecode import UNSET, Kind, Mismatch, Unmarshal, describe, plain
from mock_ollama.goscan import GoRefused, Members, Number, go_text

_MAX_INT = 2**63 - 1
_MAX_BYTE = 255
_FOLDING = str.maketrans(
    {chr(code): chr(code - 32) for code in range(ord("a"), ord("z") + 1)}
    | {"\u017f": "S", "\u212a": "K"}
)
_INTEGER = re.compile("-?[0-9]+")
_NOT_BASE64 = re.compile("[^A-Za-z0-9+/=\r\n]")


@frozen
class Scalar:
    """Go's string, bool, or int, which null leaves as it is; `pointer` makes null set it to nil."""

    name: str
    pointer: bool = False

    def take(self, value: Any, old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET if self.pointer else old
        if self.name == "string" and isinstance(value, str) and not isinstance(value, Number):
            return go_text(value)
        if self.name == "bool" and isinstance(value, bool):
            return value
        if self.name in {"int", "uint8"} and isinstance(value, Number):
            return self._integer(value, old, call)
        call.save(Mismatch(describe(value), self.name))
        return old

    def _integer(self, literal: Number, old: Any, call: Unmarshal) -> Any:
        least, largest = (0, _MAX_BYTE) if self.name == "uint8" else (-_MAX_INT - 1, _MAX_INT)
        # No integer of more digits is in range, and Python does not read very long ones.
        short = _INTEGER.fullmatch(literal) and len(literal) <= len(str(least)) + 1
        if short and least <= int(literal) <= largest:
            return int(literal)
        call.save(Mismatch(f"number {literal}", self.name))
        return old


@frozen
class Anything:
    """Go's `any`, or its json.RawMessage, which Ollama takes for unset where it is null."""

    name: str = "interface {}"

    def take(self, value: Any, _old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        return UNSET if value is None else plain(value, call)


@frozen
class AnyMap:
    """Go's map[string]any: a repeated one is merged into the first."""

    name: str = "map[string]interface {}"

    def take(self, value: Any, old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET
        if not isinstance(value, Members):
            call.save(Mismatch(describe(value), self.name))
            return old
        merged = {} if old is UNSET else dict(old)
        return merged | plain(value, call)


@frozen
class Bytes:
    """A Go byte slice: base64 in a string, or an array of numbers."""

    name: str

    def take(self, value: Any, old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET
        if isinstance(value, str) and not isinstance(value, Number):
            try:
                return _base64(go_text(value))
            except GoRefused as error:
                call.save(error)
                return old
        if isinstance(value, list) and not isinstance(value, Members):
            numbers = [Scalar("uint8").take(item, 0, call) for item in value]
            return b64encode(bytes(numbers)).decode()
        call.save(Mismatch(describe(value), self.name))
        return old


def _base64(text: str) -> str:
    odd = _NOT_BASE64.search(text)
    if odd:
        at = len(text[: odd.start()].encode())
        raise GoRefused(f"illegal base64 data at input byte {at}")
    packed = text.replace("\r", "").replace("\n", "")
    try:
        return b64encode(a2b_base64(packed, strict_mode=True)).decode() if packed else ""
    except Base64Error:
        at = packed.find("=")
        raise GoRefused(
            f"illegal base64 data at input byte {len(packed) if at < 0 else at}"
        ) from None


class _Elements(list[Any]):
    """A slice; `spare` is what its array still holds behind its end, where Go decodes again."""

    spare: list[Any]


@frozen
class Slice:
    """A Go slice of one kind of elements; `zero` is the JSON of one that was null."""

    element: Kind
    name: str
    zero: Any = None

    def take(self, value: Any, old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET
        if not isinstance(value, list) or isinstance(value, Members):
            call.save(Mismatch(describe(value), self.name))
            return old
        elements = _Elements()
        array = [*old, *old.spare] if value and isinstance(old, _Elements) else []
        for index, item in enumerate(value):
            before = array[index] if index < len(array) else UNSET
            taken = self.element.take(item, before, call)
            elements.append(self.zero if taken is UNSET else taken)
        elements.spare = array[len(value) :]
        return elements


@frozen(eq=False)
class Struct:
    """A Go struct: `title` is its name within the package, `fields` its fields by JSON name."""

    title: str
    fields: Mapping[str, Kind]

    @property
    def name(self) -> str:
        """The name with its package, see Kind."""
        return f"api.{self.title}"

    def take(self, value: Any, old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        known = {} if old is UNSET else dict(old)
        if value is None:
            return known
        if not isinstance(value, Members):
            call.save(Mismatch(describe(value), self.name))
            return known
        outside = call.struct
        for key, item in value:
            name = self._field(go_text(key))
            if name is None:
                continue
            call.struct = self.title
            call.path.append(name)
            taken = self.fields[name].take(item, known.get(name, UNSET), call)
            call.path.pop()
            call.struct = outside
            if taken is UNSET:
                known.pop(name, None)
            else:
                known[name] = taken
        return known

    def _field(self, key: str) -> str | None:
        """Find a field by its name, or by its name after Go's folding of case."""
        if key in self.fields:
            return key
        folded = key.translate(_FOLDING)
        return next((name for name in self.fields if name.translate(_FOLDING) == folded), None)
