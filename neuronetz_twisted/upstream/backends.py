"""The model hosts that are configured: where they are, and how much may be asked of each."""

from attrs import field, frozen

from neuronetz_twisted.backend_list import BackendEntry
from neuronetz_twisted.config import Settings

DEFAULT = "default"
"""The name of the one at OLLAMA_BASE_URL."""


@frozen(kw_only=True)
class Backend:
    """One Ollama: where it is, the header that opens it, if any, and the requests at once."""

    name: str
    url: str
    token_header: tuple[bytes, bytes] | None = field(default=None, repr=False)
    slots: int = 1

    def address_of(self, path: str) -> bytes:
        """The URL of one of our constant paths."""
        return f"{self.url}{path}".encode()


def entries_of(settings: Settings) -> tuple[BackendEntry, ...]:
    """The backends as they are configured, in the order in which they are asked (SPEC 6)."""
    if settings.ollama_backends is not None:
        return settings.ollama_backends
    return (
        BackendEntry(
            name=DEFAULT,
            url=settings.ollama_base_url,
            token=settings.ollama_auth_token,
            header=settings.ollama_auth_header,
            scheme=settings.ollama_auth_scheme,
        ),
    )


def backends_of(settings: Settings) -> tuple[Backend, ...]:
    """The backends as they are asked, in order.

    Slots are those of this process: here they are divided where several share a backend.
    """
    return tuple(
        Backend(
            name=entry.name,
            url=entry.url,
            token_header=_token_header(entry),
            slots=entry.slots or settings.ollama_max_connections,
        )
        for entry in entries_of(settings)
    )


def _token_header(entry: BackendEntry) -> tuple[bytes, bytes] | None:
    if entry.token is None:
        return None
    value = " ".join(word for word in (entry.scheme, entry.token) if word)
    return entry.header.encode(), value.encode()
