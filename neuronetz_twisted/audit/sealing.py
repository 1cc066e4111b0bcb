"""Sealing the text of calls, and the keys that open it. Pure (SPEC 9).

A text is sealed with AES-256-GCM (NIST SP 800-38D) under its tenant's data key. A data key is kept
only wrapped, by the same cipher, under the master key that the operator holds. So a dump of the
database opens nothing, and a tenant whose data key is destroyed has no text left, wherever copies
of the sealed rows lie.

Each text is bound to its tenant, its request and the version of the key, each wrapped key to its
tenant and version: moved anywhere else it does not open. Nonces are drawn at random, which is safe
for 2^32 texts under one key (SP 800-38D 8.3), a hundred years of a full daily quota.
"""

from hashlib import sha256
from os import urandom
from struct import Struct
from uuid import UUID

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from neuronetz_twisted.variables import KEY_BYTES, keys_of

_NONCE_BYTES = 12
_TAG_BYTES = 16
_ID_LETTERS = 16

_FORMAT = 1
_HEAD = Struct(">BI")
_KEY_LABEL = b"neuronetz data key 1\n"
_TEXT_LABEL = b"neuronetz prompt 1\n"
_MASTER_LABEL = b"neuronetz prompt master key\n"


class CannotOpen(Exception):  # noqa: N818 - states what is the case
    """Bytes do not open under the key at hand; the text says what that can mean."""


@frozen
class MasterKey:
    """The operator's key, 32 bytes, under which the data keys of all tenants are wrapped."""

    _secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """A name that tells one master key from another, and nothing of either."""
        return sha256(_MASTER_LABEL + self._secret).hexdigest()[:_ID_LETTERS]

    def new_data_key(self, tenant_id: UUID, version: int) -> bytes:
        """A data key that nobody has seen, wrapped."""
        return self._wrap(urandom(KEY_BYTES), tenant_id, version)

    def rewrap(self, wrapped: bytes, old: "MasterKey", tenant_id: UUID, version: int) -> bytes:
        """The data key that `old` has wrapped, wrapped by this one. Raises `CannotOpen`."""
        return self._wrap(old._unwrap(wrapped, tenant_id, version), tenant_id, version)  # noqa: SLF001 - its own class

    def seal(
        self, text: bytes, wrapped: bytes, *, tenant_id: UUID, request_id: UUID, version: int
    ) -> bytes:
        """Seal a text under a wrapped data key of that version. Raises `CannotOpen` for the key."""
        data_key = self._unwrap(wrapped, tenant_id, version)
        bound_to = _text_binding(tenant_id, request_id, version)
        return _HEAD.pack(_FORMAT, version) + _encrypt(data_key, text, bound_to)

    def open(self, sealed: bytes, wrapped: bytes, *, tenant_id: UUID, request_id: UUID) -> bytes:
        """The text in `sealed`, whose key is `wrapped`. Raises `CannotOpen`."""
        version = key_version(sealed)
        data_key = self._unwrap(wrapped, tenant_id, version)
        bound_to = _text_binding(tenant_id, request_id, version)
        return _decrypt(data_key, sealed[_HEAD.size :], bound_to, "the text")

    def _wrap(self, data_key: bytes, tenant_id: UUID, version: int) -> bytes:
        return _encrypt(self._secret, data_key, _key_binding(tenant_id, version))

    def _unwrap(self, wrapped: bytes, tenant_id: UUID, version: int) -> bytes:
        return _decrypt(self._secret, wrapped, _key_binding(tenant_id, version), "the data key")


def master_keys_in(text: str) -> tuple[MasterKey, ...]:
    """The keys of a setting: the first one wraps, former ones behind it still open.

    Raises `ValueError` with a sentence that holds nothing of the text.
    """
    return tuple(map(MasterKey, keys_of(text)))


def key_version(sealed: bytes) -> int:
    """Which version of the tenant's data key a text is sealed under. Raises `CannotOpen`."""
    if len(sealed) < _HEAD.size:
        raise CannotOpen("the sealed text is too short")
    form, version = _HEAD.unpack_from(sealed)
    if form != _FORMAT:
        raise CannotOpen(f"the sealed text is of form {form}, which this version does not know")
    return int(version)


def _text_binding(tenant_id: UUID, request_id: UUID, version: int) -> bytes:
    return _TEXT_LABEL + tenant_id.bytes + request_id.bytes + _HEAD.pack(_FORMAT, version)


def _key_binding(tenant_id: UUID, version: int) -> bytes:
    return _KEY_LABEL + tenant_id.bytes + _HEAD.pack(_FORMAT, version)


def _encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    nonce = urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes, what: str) -> bytes:
    if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise CannotOpen(f"{what} is too short")
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bound_to)
    except InvalidTag:
        raise CannotOpen(
            f"{what} does not open: it was changed or moved, or belongs to another key"
        ) from None
