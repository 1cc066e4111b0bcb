"""Where the gateway is reached from this machine, for commands that are printed to be copied."""

from neuronetz_twisted.config import Settings

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def base_url(settings: Settings) -> str:
    """The gateway's URL by its host and port; "all addresses" is the loopback one."""
    host = _ANY.get(settings.bind_host, settings.bind_host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.bind_port}"
