"""Where the text of a variable comes from: the environment, a `.env`, or a file that they name."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from neuronetz_twisted.variables import Variable

_REQUIRED = {"DATABASE_URL"}
_LISTS = {"GATEWAY_CORS_ORIGINS", "GATEWAY_TRUSTED_PROXIES"}


def read_dotenv(path: Path) -> tuple[dict[str, str], list[str]]:
    """The variables of a file, where there is one, and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f".env: cannot be read: {type(error).__name__}"]
    bindings = list(parse_stream(StringIO(text)))
    # Not the text: there may be a secret in it.
    faults = [f".env: cannot be read: line {_line(each)}" for each in bindings if each.error]
    return {
        each.key: each.value for each in bindings if each.key and each.value is not None
    }, faults


def _line(binding: Binding) -> int:
    """Where a binding's text begins; dotenv counts from the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def find(
    variable: Variable, environ: Mapping[str, str], dotenv: Mapping[str, str]
) -> tuple[str | None, str]:
    """Give the text of a variable, or None, and a word for its origin; `environ` wins.

    Raises `ValueError` with a sentence that goes behind the variable's name.
    """
    for source, origin in ((environ, "environment"), (dotenv, ".env")):
        value = source.get(variable.name, "").strip()
        path = source.get(f"{variable.name}_FILE", "").strip()
        if value and path:
            raise ValueError(f"both it and {variable.name}_FILE are set")
        if value or (variable.name in source and variable.name in _LISTS):
            return value, origin
        if path:
            return _read_secret(path), f"file {path}"
    if variable.name in _REQUIRED:
        raise ValueError("must be set")
    return variable.default, "default"


def _read_secret(path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"its file {path} cannot be read: {type(error).__name__}") from None
    if not secret:
        raise ValueError(f"its file {path} is empty")
    return secret
