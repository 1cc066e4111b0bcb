"""Where Ollama's router, gin, sends a request that no route takes."""

# By method in the order in which Ollama first names them, which is the order of `Allow`.
_PATHS = {
    "HEAD": frozenset({"/", "/api/version", "/api/tags"}),
    "GET": frozenset({"/", "/api/version", "/api/tags", "/api/ps"}),
    "POST": frozenset({"/api/show", "/api/generate", "/api/chat", "/api/embed", "/api/embeddings"}),
}


def allowed_methods(path: str) -> list[str]:
    """Give the methods that a path takes, none for an unknown one."""
    return [method for method, paths in _PATHS.items() if path in paths]


def redirection(method: str, path: str) -> str | None:
    """Give the path with one slash less at its end, or one more, if the method's route is there."""
    other = path[:-1] if path.endswith("/") else f"{path}/"
    return other if other in _PATHS.get(method, ()) and path != "/" else None
