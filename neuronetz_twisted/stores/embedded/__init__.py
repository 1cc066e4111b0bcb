"""Real PostgreSQL and Valkey as child processes, so that there is one code path for storage.

What someone tries on a laptop with `embedded:` is what production runs (SPEC 13). The programs
come from wheels or from the system; starting, watching and stopping them is ours, since what the
wheels bring for it changes the system as root. Nobody but us can reach the servers: Unix sockets
in a private directory, generated passwords in private files, no port.
"""

from neuronetz_twisted.stores.embedded.attach import attach, attached_or_started
from neuronetz_twisted.stores.embedded.errors import EmbeddedError, StateDirectoryInUse
from neuronetz_twisted.stores.embedded.servers import EmbeddedServers
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls

__all__ = [
    "EmbeddedError",
    "EmbeddedServers",
    "EmbeddedUrls",
    "StateDirectoryInUse",
    "attach",
    "attached_or_started",
]
