"""The peers: how each is started, bare, with nothing but relaying."""
