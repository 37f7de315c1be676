"""Keys on a PKCS#11 token: a smart card, a hardware security module (RFC 7512 names them).

A session lasts for one look or one signature: nothing stays logged in during hours of packing, and
a token that wants its PIN for every signature gets it.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error, TokenFlag
from pkcs11.types import Session, Token

from airgap.errors import AirgapError, ConfigurationError, NotTrustedError, UsageError
from airgap.format.root import Key
from airgap.signing.private_keys import read_secret
from airgap.signing.public_keys import CURVES, encode_ecdsa, make_key
from airgap.signing.signer import Passphrase, Signer

__all__ = ["MODULE_VARIABLE", "TokenAddress", "TokenSigner", "parse", "read_public_key"]

MODULE_VARIABLE: Final = "AIRGAP_PKCS11_MODULE"
_ATTRIBUTES: Final = frozenset(
    {"token", "serial", "object", "id", "type", "module-path", "pin-source"}
)
# CKA_EC_PARAMS, a DER object identifier: algorithm of format §6.3
_NAMED_CURVES: Final = {
    bytes.fromhex("06082a8648ce3d030107"): "ecdsa-p256-sha256",
    bytes.fromhex("06052b81040022"): "ecdsa-p384-sha384",
}


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """Where a key is: a module (a shared library), a token it serves, an object there."""

    module: str
    token: str | None
    serial: bytes | None
    label: str | None
    object_id: bytes | None
    pin_source: Path | None

    def __str__(self) -> str:
        """Name it for people."""
        what = self.label or (self.object_id or b"").hex()
        return f"key {what} on token {self.token or (self.serial or b'?').decode('ascii')}"


class TokenSigner(Signer):
    """Signs with a key on a token."""

    def __init__(self, address: TokenAddress, passphrase: Passphrase) -> None:
        """Find the key and try the PIN, so that a wrong one is told before the work begins.

        Raises:
            ConfigurationError: no module, token or key, or a wrong PIN.
        """
        self._address = address
        with _opened(address) as token:
            self._pin = _pin(token, address, passphrase)
            with token.open(user_pin=self._pin) as session:
                _object(session, address, "PRIVATE_KEY")
                super().__init__(_public_half(session, address))

    def _sign_bytes(self, message: bytes) -> bytes:
        hashed = self.key.algorithm in CURVES
        if hashed:  # the token gets the digest: it needs no room for the document
            name = CURVES[self.key.algorithm][1].name
            message = hashlib.new(name, message).digest()
        address = self._address
        with _opened(address) as token, token.open(user_pin=self._pin) as session:
            private = _object(session, address, "PRIVATE_KEY")
            each_time = _flag(private, Attribute.ALWAYS_AUTHENTICATE)
            made: bytes = private.sign(
                message,
                mechanism=Mechanism.ECDSA if hashed else Mechanism.EDDSA,
                pin=self._pin if each_time and isinstance(self._pin, str) else None,
            )
        if not hashed:
            return made
        half = len(made) // 2  # r and s, equally wide
        r, s = int.from_bytes(made[:half]), int.from_bytes(made[half:])
        return encode_ecdsa(self.key.algorithm, r, s)


def read_public_key(address: TokenAddress) -> Key:
    """Read the public half of a key, without a PIN.

    Raises:
        ConfigurationError: no module, token or public key.
    """
    with _opened(address) as token, token.open() as session:
        return _public_half(session, address)


def parse(spec: str) -> TokenAddress:
    """Read ``token=…;object=…;module-path=…`` (RFC 7512; ``?`` and ``&`` separate too).

    Raises:
        UsageError: it is malformed, holds a PIN, or names no key.
        ConfigurationError: neither it nor the environment names a module.
    """
    found: dict[str, bytes] = {}
    for part in spec.replace("?", ";").replace("&", ";").split(";"):
        name, mark, value = part.partition("=")
        if name == "pin-value":
            raise UsageError(
                "A PIN does not belong on the command line: everyone on this machine can read it.",
                "Type it when asked, or use --passphrase-fd, --passphrase-env or pin-source=FILE.",
            )
        if not mark or not value or name not in _ATTRIBUTES or name in found:
            raise UsageError(f"{part!r} has no place in a pkcs11: address.", _EXAMPLE)
        found[name] = unquote_to_bytes(value)
    if not found.keys() & {"object", "id"} or found.get("type", b"private") != b"private":
        raise UsageError("The pkcs11: address names no private key.", _EXAMPLE)
    return _address(found)


_EXAMPLE: Final = (
    "Write pkcs11:token=NAME;object=KEY;module-path=/usr/lib/….so, in quotes for the shell."
)


def _address(found: dict[str, bytes]) -> TokenAddress:
    try:
        texts = {name: found[name].decode() for name in found.keys() - {"id", "serial"}}
    except UnicodeDecodeError as error:
        raise UsageError("The pkcs11: address is not UTF-8.", _EXAMPLE) from error
    module = texts.get("module-path") or os.environ.get(MODULE_VARIABLE)
    if not module:
        raise ConfigurationError(
            "Nothing says which PKCS#11 module serves the token.",
            f"Add ;module-path=/usr/lib/….so to the address, or set {MODULE_VARIABLE}.",
        )
    source = texts.get("pin-source")
    return TokenAddress(
        module=module,
        token=texts.get("token"),
        serial=found.get("serial"),
        label=texts.get("object"),
        object_id=found.get("id"),
        pin_source=Path(source.removeprefix("file:")) if source else None,
    )


@contextmanager
def _opened(address: TokenAddress) -> Iterator[Token]:
    """Find the one token that is meant; turn what it refuses into errors of ours."""
    try:
        library = pkcs11.lib(address.module)
        there = library.get_tokens(token_label=address.token, token_serial=address.serial)
        tokens = [one for one in there if one.flags & TokenFlag.TOKEN_INITIALIZED]
        if len(tokens) != 1:
            raise ConfigurationError(
                f"The module {address.module} serves {len(tokens)} such tokens.",
                "Name one with token= (its label) or serial=, and check that it is plugged in.",
                [f"token={one.label} serial={one.serial!r}" for one in tokens],
            )
        yield tokens[0]
    except PKCS11Error as error:
        raise _refused(address, error) from error


def _refused(address: TokenAddress, error: Exception) -> AirgapError:
    """Say what a token's refusal means."""
    name = type(error).__name__
    if name in {"PinIncorrect", "PinInvalid", "PinLenRange"}:
        return ConfigurationError(
            f"The PIN does not open the {address}.",
            "Take care: most tokens lock after three wrong ones.",
        )
    if name == "PinLocked":
        return ConfigurationError(
            f"Too many wrong PINs: the {address} is locked.", "Unlock it with its own tool."
        )
    return ConfigurationError(
        f"The module {address.module} refuses the {address}: {str(error) or name} ({name}).",
        "Check the module's path and what its own tool says; Ed25519 and long documents are"
        " beyond many tokens, where ECDSA works.",
    )


def _pin(token: Token, address: TokenAddress, passphrase: Passphrase) -> object:
    """Return the PIN, or what stands for the token's own keypad."""
    if token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
        return pkcs11.PROTECTED_AUTH
    told = read_secret(address.pin_source) if address.pin_source else passphrase()
    try:
        return told.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError("The PIN is not UTF-8.", "Check where it comes from.") from error


def _object(session: Session, address: TokenAddress, kind: str) -> Any:  # noqa: ANN401
    """Find the one object of a kind, such as ``PRIVATE_KEY``, that is meant."""
    wanted: dict[Attribute, ObjectClass | str | bytes] = {Attribute.CLASS: ObjectClass[kind]}
    if address.label is not None:
        wanted[Attribute.LABEL] = address.label
    if address.object_id is not None:
        wanted[Attribute.ID] = address.object_id
    found = list(session.get_objects(wanted))
    if len(found) != 1:
        raise ConfigurationError(
            f"There are {len(found)} {kind.lower().replace('_', ' ')}s for the {address}.",
            "Name one with object= (its label) and id=; both its halves must be on the token.",
        )
    return found[0]


def _public_half(session: Session, address: TokenAddress) -> Key:
    """Read the public key that lies beside a private one.

    Raises:
        ConfigurationError: it is not there, or not for an algorithm of format §6.3.
    """
    public = _object(session, address, "PUBLIC_KEY")
    try:
        if public.key_type == KeyType.EC_EDWARDS:
            point = _point(public[Attribute.EC_POINT], 32)
            return make_key(ed25519.Ed25519PublicKey.from_public_bytes(point))
        if public.key_type == KeyType.EC:
            curve, _, _ = CURVES[_NAMED_CURVES[bytes(public[Attribute.EC_PARAMS])]]
            point = _point(public[Attribute.EC_POINT], 1 + 2 * ((curve.key_size + 7) // 8))
            return make_key(ec.EllipticCurvePublicKey.from_encoded_point(curve, point))
    except (KeyError, ValueError, NotTrustedError) as error:
        raise _unusable(address) from error
    raise _unusable(address)


def _unusable(address: TokenAddress) -> ConfigurationError:
    return ConfigurationError(
        f"The {address} is of a kind that airgap does not use.",
        "Make an ECDSA P-256 or P-384 key on the token, or Ed25519 if it can.",
    )


def _point(value: bytes, size: int) -> bytes:
    """Take a point out of CKA_EC_POINT: an OCTET STRING, or as some tokens have it, BIT STRING."""
    point = bytes(value)[-size:]
    headers = (b"", bytes([4, size]), bytes([3, size + 1, 0]))
    if len(point) != size or bytes(value)[:-size] not in headers:
        raise ValueError("not a point")
    return point


def _flag(private: Any, attribute: Any) -> bool:  # noqa: ANN401
    """Read a boolean attribute that older tokens do not have."""
    try:
        return bool(private[attribute])
    except PKCS11Error:
        return False
