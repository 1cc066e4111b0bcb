"""Use the servers that run, or run them for a while: what the command line does."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from neuronetz_twisted.stores.embedded.errors import EmbeddedError, StateDirectoryInUse
from neuronetz_twisted.stores.embedded.layout import Layout, try_lock
from neuronetz_twisted.stores.embedded.ownership import announced, owner_of
from neuronetz_twisted.stores.embedded.servers import START_DEADLINE_S, EmbeddedServers
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls

_POLL_S = 0.02
_GUESTS_LEAVE_S = 10.0


def attach(state_dir: Path, deadline_s: float = START_DEADLINE_S) -> EmbeddedUrls | None:
    """The URLs of running servers, or None if no living process owns the directory.

    Blocks while the owner is still starting them. Raises EmbeddedError after `deadline_s`
    seconds, or where the directory is another user's.
    """
    layout = Layout.of(state_dir)
    give_up = time.monotonic() + deadline_s
    while (owner := owner_of(layout)) is not None:
        names = announced(layout)
        if names is not None:
            return EmbeddedUrls.of(layout, postgres="postgres" in names, redis="valkey" in names)
        if time.monotonic() > give_up:
            raise EmbeddedError(f"the gateway with pid {owner} does not get its servers started")
        time.sleep(_POLL_S)
    return None


@contextmanager
def attached_or_started(
    *, state_dir: Path, postgres: bool, redis: bool, environ: Mapping[str, str]
) -> Iterator[EmbeddedUrls]:
    """The running servers' URLs; where none run, they are started for the block's duration.

    Two commands at once share the servers of the first, which ends them when the second is
    done. From the main thread only. Raises EmbeddedError.
    """
    layout = Layout.of(state_dir)
    layout.create()
    servers = EmbeddedServers(state_dir=state_dir, postgres=postgres, redis=redis, environ=environ)
    guests = layout.open_private(layout.home / "guests", os.O_RDWR)
    try:
        _wait_for_lock(guests, shared=True)
        urls = attach(state_dir) or _start(servers, state_dir)
        if (postgres and urls.database_url is None) or (redis and urls.redis_url is None):
            raise EmbeddedError(f"the gateway that owns {state_dir} runs only one of its servers")
        yield urls
    finally:
        if servers.running():
            _wait_for_lock(guests, shared=False)
        servers.stop_blocking()
        os.close(guests)


def _start(servers: EmbeddedServers, state_dir: Path) -> EmbeddedUrls:
    try:
        return servers.start_blocking()
    except StateDirectoryInUse:
        urls = attach(state_dir)  # another one was quicker
        if urls is None:
            raise
        return urls


def _wait_for_lock(guests: int, *, shared: bool) -> None:
    """Each command shares this lock; who started the servers takes it alone to end them.

    Bounded: a command that runs for long loses servers that it did not start.
    """
    give_up = time.monotonic() + _GUESTS_LEAVE_S
    while not try_lock(guests, shared=shared) and time.monotonic() < give_up:
        time.sleep(_POLL_S)
