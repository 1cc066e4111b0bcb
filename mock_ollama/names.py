"""Model names as Ollama reads them (its `types/model` and `internal/modelref`)."""

import re

from attrs import frozen

from mock_ollama.refused import Refused

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

# What Go's strings.TrimSpace trims; Python's strip would take separators of ASCII, too.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    chr(code) for code in range(0x2000, 0x200B)
)
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_CLOUD = "-cloud"
# Stands for a part that a separator promised and that is missing; it is valid for no part.
_MISSING = "!"


@frozen
class ModelName:
    """A name with all its parts, in the spelling that was used."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def is_valid(self) -> bool:
        """Whether each part has the characters and the length that Ollama allows it."""
        return all(
            pattern.fullmatch(part)
            for pattern, part in (
                (_HOST, self.host),
                (_NAMESPACE, self.namespace),
                (_PART, self.model),
                (_PART, self.tag),
            )
        )

    @property
    def full(self) -> str:
        """The name with host and namespace, as capability errors print it."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def shortest(self) -> str:
        """The name without the host and namespace that are the defaults, as lists show it."""
        name = f"{self.model}:{self.tag}"
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{name}"
        return name if self.namespace.lower() == DEFAULT_NAMESPACE else f"{self.namespace}/{name}"


@frozen
class Reference:
    """What a request names: a model, and whether it is one that only ollama.com has."""

    name: ModelName
    is_cloud: bool


def parse_name(text: str) -> ModelName:
    """Split a name into its parts, with Ollama's defaults for those that are absent."""
    tag = ""
    if text.rfind(":") > text.rfind("/"):
        text, tag = _cut(text)
    rest, model = _cut(text, "/") if "/" in text else ("", text)
    host, namespace = _cut(rest, "/") if "/" in rest else ("", rest)
    host = host.partition("://")[2] if "://" in host else host
    return ModelName(
        host or DEFAULT_HOST, namespace or DEFAULT_NAMESPACE, model, tag or DEFAULT_TAG
    )


def read_reference(raw: str) -> Reference | None:
    """Read the `model` of a request; None if it is blank.

    Raises Refused (400) if it is no valid name, or has the suffixes of two sources.
    """
    text = raw.strip(_BLANKS)
    if not text:
        return None
    base, source = _source(text)
    if source and _source(base)[1]:
        raise Refused(400, f'use either :local or :cloud, not both: "{text}"')
    name = parse_name(base)
    if not name.is_valid:
        raise Refused(400, "invalid model name")
    return Reference(name, is_cloud=source == "cloud")


def _source(text: str) -> tuple[str, str]:
    """Cut off the suffix that says where a model is; "" if there is none."""
    base, colon, suffix = text.rpartition(":")
    bare = suffix.strip(_BLANKS)
    if not colon:
        return text, ""
    if bare.lower() in {"cloud", "local"}:
        return base, bare.lower()
    if "/" not in bare and bare.lower().endswith(_CLOUD):
        return f"{base}:{bare[: -len(_CLOUD)]}", "cloud"
    return text, ""


def _cut(text: str, separator: str = ":") -> tuple[str, str]:
    before, _, after = text.rpartition(separator)
    return before or _MISSING, after or _MISSING
