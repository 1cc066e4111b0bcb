"""The ways in which embedded servers fail a person, each told in one plain line (SPEC 13)."""


class EmbeddedError(Exception):
    """An embedded server cannot be had; the text is one line made for the person who reads it."""


class StateDirectoryInUse(EmbeddedError):  # noqa: N818 - a state of the world, named as such
    """Another living process owns the state directory; the text names its pid."""
