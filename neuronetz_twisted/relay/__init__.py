"""Frames through, metered, with back-pressure from the client's socket to the model host's."""
