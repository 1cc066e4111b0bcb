"""The model hosts that are configured. One in this version; everything takes several."""

from attrs import field, frozen

from neuronetz_twisted.config import Settings


@frozen(kw_only=True)
class Backend:
    """One Ollama: where it is, and the header that opens it, if any."""

    name: str
    url: str
    token_header: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def address_of(self, path: str) -> bytes:
        """The URL of one of our constant paths."""
        return f"{self.url}{path}".encode()


def backends_of(settings: Settings) -> tuple[Backend, ...]:
    """The backends in the order in which they are asked (SPEC 6)."""
    token = None
    if settings.ollama_auth_token is not None:
        words = (settings.ollama_auth_scheme, settings.ollama_auth_token)
        value = " ".join(word for word in words if word)
        token = (settings.ollama_auth_header.encode(), value.encode())
    return (Backend(name="default", url=settings.ollama_base_url, token_header=token),)
