"""What may stand where a host is expected: checked before anything tries to connect (SPEC 10).

An impossible name is a fault of the configuration; left to the connection it would be an error in
the midst of a request, or one that nobody reports.
"""

import re
from ipaddress import ip_address

import idna

_MAX_NAME_LENGTH = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def is_host(text: str) -> bool:
    """Whether Twisted's client endpoints can connect to it: an address, or a name for idna."""
    if is_address(text):
        return True
    try:
        idna.encode(text)
    except idna.IDNAError:
        return False
    return True


def is_resolvable(text: str) -> bool:
    """Whether the system's resolver can be asked for it: an address, or a name of RFC 1123, 2.1.

    Names of containers may have an underscore, which idna refuses and the resolver does not.
    """
    name = text.removesuffix(".")
    return is_address(text) or (
        len(name) <= _MAX_NAME_LENGTH and all(map(_LABEL.fullmatch, name.split(".")))
    )


def is_address(text: str) -> bool:
    """Whether it is an IP address, without brackets."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
