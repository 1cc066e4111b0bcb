"""Which models are installed and loaded, and how Ollama describes them in its lists."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from attrs import define, field, frozen

from mock_ollama.gojson import go_time
from mock_ollama.names import ModelName, parse_name
from mock_ollama.options import TRAINED_CONTEXT
from mock_ollama.residency import Runner

DEFAULT_MODELS = (
    "llama3.2:latest",
    "qwen3:8b",
    "nomic-embed-text:latest",
    "llava:7b",
    "gpt-oss:20b",
    "qwen2.5-coder:7b",
)
EMBEDDING_LENGTH = 768

_MODIFIED_AT = "2026-08-01T12:00:00.123456Z"


@frozen
class _Kind:
    """What distinguishes one family of models from another in Ollama's answers."""

    family: str
    parameter_size: str
    quantization: str
    capabilities: tuple[str, ...]


_LLAMA = _Kind("llama", "3.2B", "Q4_K_M", ("completion", "tools"))
_QWEN = _Kind("qwen3", "8.2B", "Q4_K_M", ("completion", "tools", "thinking"))
_NOMIC = _Kind("nomic-bert", "137M", "F16", ("embedding",))
_LLAVA = _Kind("llama", "7B", "Q4_0", ("completion", "vision"))
_GPT_OSS = _Kind("gptoss", "20.9B", "MXFP4", ("completion", "tools", "thinking"))
_CODER = _Kind("qwen2", "7.6B", "Q4_K_M", ("completion", "tools", "insert"))
_OMNI = _Kind("omni", "9B", "Q4_K_M", ("completion", "tools", "thinking", "vision", "insert"))
# The first beginning that a model's name has says what it is; all others are like llama3.2.
_FAMILIES = (
    ("qwen2.5-coder", _CODER),
    ("qwen", _QWEN),
    ("llava", _LLAVA),
    ("gpt-oss", _GPT_OSS),
    ("omni", _OMNI),
)


@frozen
class Model:
    """One installed model; everything but the name is derived from the name."""

    name: str

    @property
    def _kind(self) -> _Kind:
        base = self.name.rpartition("/")[2]
        if "embed" in base:
            return _NOMIC
        return next((kind for start, kind in _FAMILIES if base.startswith(start)), _LLAMA)

    @property
    def digest(self) -> str:
        """The SHA-256 that stands for the model's content."""
        return sha256(self.name.encode()).hexdigest()

    @property
    def size(self) -> int:
        """The size on disk in bytes."""
        return 274_302_450 + int(self.digest[:4], 16) * 65_536

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the model can do, in Ollama's words."""
        return self._kind.capabilities

    @property
    def full_name(self) -> str:
        """The name with registry and namespace, as Ollama's capability errors print it."""
        return parse_name(self.name).full

    def details(self) -> dict[str, Any]:
        """Give the `details` object of tags, ps and show."""
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self._kind.family,
            "families": [self._kind.family],
            "parameter_size": self._kind.parameter_size,
            "quantization_level": self._kind.quantization,
        }

    def tag(self) -> dict[str, Any]:
        """Give the model's entry of `/api/tags`."""
        return {
            "name": self.name,
            "model": self.name,
            "modified_at": _MODIFIED_AT,
            "size": self.size,
            "digest": self.digest,
            "details": self.details(),
        }

    def show(self) -> dict[str, Any]:
        """Give the answer of `/api/show`, with the parts that a gateway must not relay."""
        family = self._kind.family
        return {
            "license": "MOCK LICENSE: the text between you and the maker of the weights",
            "modelfile": f"# Modelfile\nFROM /usr/share/ollama/blobs/sha256-{self.digest}\n",
            "parameters": 'stop                           "<|eot_id|>"',
            "template": "{{ if .System }}<|system|>{{ .System }}{{ end }}{{ .Prompt }}",
            "system": "MOCK SYSTEM PROMPT: the operator's own words to the model",
            "details": self.details(),
            "model_info": {
                "general.architecture": family,
                "general.parameter_count": 3_212_749_888,
                f"{family}.context_length": TRAINED_CONTEXT,
                f"{family}.embedding_length": EMBEDDING_LENGTH,
            },
            "capabilities": list(self.capabilities),
            "modified_at": _MODIFIED_AT,
        }


def canonical_name(name: str) -> str:
    """Give the one spelling under which Ollama would look a model up."""
    return parse_name(name.strip()).shortest.lower()


@define
class Catalogue:
    """The installed models."""

    _models: dict[str, Model] = field(factory=dict)

    def install(self, names: Iterable[str]) -> None:
        """Replace the installed models by those of the given names."""
        self._models = {name: Model(name) for name in map(canonical_name, names)}

    def find(self, name: ModelName) -> Model | None:
        """Give the installed model of a name in any spelling of it, if there is one."""
        return self._models.get(name.shortest.lower())

    def tags(self) -> list[dict[str, Any]]:
        """Give the entries of `/api/tags`."""
        return [model.tag() for model in self._models.values()]

    def running(self, runners: Iterable[tuple[str, Runner]]) -> list[dict[str, Any]]:
        """Give the entries of `/api/ps` for the runners of models that are loaded."""
        return [
            {
                "name": name,
                "model": name,
                "size": Model(name).size,
                "digest": Model(name).digest,
                "details": Model(name).details(),
                "expires_at": go_time(runner.expires_at),
                "size_vram": Model(name).size,
                "context_length": runner.options.num_ctx,
            }
            for name, runner in runners
        ]
