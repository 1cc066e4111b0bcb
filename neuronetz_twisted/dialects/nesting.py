"""How deep JSON is nested, asked without recursion. Pure."""

from typing import Any


def is_deeper(value: Any, limit: int) -> bool:
    """Whether there are more than `limit` objects and lists within each other."""
    level = _containers([value])
    for _ in range(limit):
        if not level:
            return False
        level = [inner for outer in level for inner in _children(outer)]
    return bool(level)


def _children(value: Any) -> list[Any]:
    return _containers(value.values() if isinstance(value, dict) else value)


def _containers(values: Any) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]
