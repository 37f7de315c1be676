"""Keys on a PKCS#11 token: a smart card or a hardware security module. RFC 7512 names them.

A session lasts for one lookup or one signature: no login stays open during hours of packing, and a
token that requires its PIN for every signature gets it.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import unquote_to_bytes

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error, TokenFlag
from pkcs11.exceptions import PinIncorrect, PinInvalid, PinLenRange
from pkcs11.types import Session, Token

from airgap.errors import AirgapError, ConfigurationError, NotTrustedError, UsageError
from airgap.format.root import Key
from airgap.signing.private_keys import read_secret
from airgap.signing.public_keys import CURVES, encode_ecdsa, make_key
from airgap.signing.signer import GivenPassphrase, Passphrase, Signer

__all__ = ["MODULE_VARIABLE", "TokenAddress", "TokenSigner", "parse", "read_public_key"]

MODULE_VARIABLE: Final = "AIRGAP_PKCS11_MODULE"
_WRONG_PIN: Final = (PinIncorrect, PinInvalid, PinLenRange)
_ATTRIBUTES: Final = frozenset(
    {"token", "serial", "object", "id", "type", "module-path", "pin-source"}
)
# From CKA_EC_PARAMS, a DER object identifier, to an algorithm of format §6.3
_NAMED_CURVES: Final = {
    bytes.fromhex("06082a8648ce3d030107"): "ecdsa-p256-sha256",
    bytes.fromhex("06052b81040022"): "ecdsa-p384-sha384",
}


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """Names a key: a module (a shared library), one of its tokens, an object on the token."""

    module: str
    token: str | None
    serial: bytes | None
    label: str | None
    object_id: bytes | None
    pin_source: Path | None

    def __str__(self) -> str:
        """Describe it for people."""
        key = self.label or (self.object_id or b"").hex()
        serial = (self.serial or b"?").decode("ascii", "backslashreplace")
        return f"key {key} on token {self.token or serial}"


class TokenSigner(Signer):
    """Signs with a key on a token."""

    wait_text: ClassVar[str] = "Waiting for the token to sign. Touch it if it needs that."

    def __init__(self, address: TokenAddress, passphrase: Passphrase) -> None:
        """Find the key and try the PIN, so that a wrong PIN fails before the work begins.

        Raises:
            ConfigurationError: no such module, token or key, or a wrong PIN.
        """
        self._address = address
        with _open_token(address) as token:
            self._pin, source = _read_pin(token, address, passphrase)
            try:
                with token.open(user_pin=self._pin) as session:
                    _find_object(session, address, "PRIVATE_KEY")
                    super().__init__(_read_public_half(session, address))
            except _WRONG_PIN as error:
                raise _make_pin_error(address, source) from error

    def _sign_bytes(self, message: bytes) -> bytes:
        hashed = self.key.algorithm in CURVES
        if hashed:  # only the digest goes to the token, which may have no room for the document
            name = CURVES[self.key.algorithm][1].name
            message = hashlib.new(name, message).digest()
        address = self._address
        with _open_token(address) as token, token.open(user_pin=self._pin) as session:
            private = _find_object(session, address, "PRIVATE_KEY")
            pin_each_time = _read_flag(private, Attribute.ALWAYS_AUTHENTICATE)
            signature: bytes = private.sign(
                message,
                mechanism=Mechanism.ECDSA if hashed else Mechanism.EDDSA,
                pin=self._pin if pin_each_time and isinstance(self._pin, str) else None,
            )
        if not hashed:
            return signature
        half = len(signature) // 2  # r and s, equally wide
        r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
        return encode_ecdsa(self.key.algorithm, r, s)


def read_public_key(address: TokenAddress) -> Key:
    """Read the public half of a key, without a PIN.

    Raises:
        ConfigurationError: no such module, token or public key.
    """
    with _open_token(address) as token, token.open() as session:
        return _read_public_half(session, address)


def parse(spec: str) -> TokenAddress:
    """Parse ``token=…;object=…;module-path=…`` (RFC 7512; ``?`` and ``&`` are separators too).

    Raises:
        UsageError: the address is malformed, contains a PIN, or does not name a private key.
        ConfigurationError: neither the address nor the environment names a module.
    """
    attributes: dict[str, bytes] = {}
    for part in spec.replace("?", ";").replace("&", ";").split(";"):
        name, separator, value = part.partition("=")
        if name == "pin-value":
            raise UsageError(
                "A PIN does not belong on the command line: everyone on this machine can read it.",
                "Type it when asked, or use --passphrase-fd, --passphrase-env or pin-source=FILE.",
            )
        if not separator or not value or name not in _ATTRIBUTES or name in attributes:
            raise UsageError(f"{part!r} is not allowed in a pkcs11: address.", _EXAMPLE)
        attributes[name] = unquote_to_bytes(value)
    if not attributes.keys() & {"object", "id"} or attributes.get("type", b"private") != b"private":
        raise UsageError("The pkcs11: address does not name a private key.", _EXAMPLE)
    return _make_address(attributes)


_EXAMPLE: Final = (
    "Write pkcs11:token=NAME;object=KEY;module-path=/usr/lib/….so, in quotes for the shell."
)


def _make_address(attributes: dict[str, bytes]) -> TokenAddress:
    try:
        texts = {name: attributes[name].decode() for name in attributes.keys() - {"id", "serial"}}
    except UnicodeDecodeError as error:
        raise UsageError("The pkcs11: address is not UTF-8.", _EXAMPLE) from error
    for name, text in texts.items():
        if "\0" in text:
            raise UsageError(f"{name} in the pkcs11: address has a NUL character.", _EXAMPLE)
    module = texts.get("module-path") or os.environ.get(MODULE_VARIABLE)
    if not module:
        raise ConfigurationError(
            "No PKCS#11 module is given for the token.",
            f"Add ;module-path=/usr/lib/….so to the address, or set {MODULE_VARIABLE}.",
        )
    source = texts.get("pin-source")
    return TokenAddress(
        module=module,
        token=texts.get("token"),
        serial=attributes.get("serial"),
        label=texts.get("object"),
        object_id=attributes.get("id"),
        pin_source=Path(source.removeprefix("file:")) if source else None,
    )


@contextmanager
def _open_token(address: TokenAddress) -> Iterator[Token]:
    """Find exactly one token for the address; turn errors of the module into ours."""
    try:
        library = pkcs11.lib(address.module)
        matching = library.get_tokens(token_label=address.token, token_serial=address.serial)
        tokens = [token for token in matching if token.flags & TokenFlag.TOKEN_INITIALIZED]
        if len(tokens) != 1:
            raise ConfigurationError(
                f"The module {address.module} has {len(tokens)} matching tokens (expected 1).",
                "Name one with token= (its label) or serial=, and check that it is plugged in.",
                [f"token={token.label} serial={token.serial!r}" for token in tokens],
            )
        yield tokens[0]
    except PKCS11Error as error:
        raise _explain(address, error) from error


def _explain(address: TokenAddress, error: Exception) -> AirgapError:
    """Turn an error of the module into one that tells what to do."""
    name = type(error).__name__
    if isinstance(error, _WRONG_PIN):
        return _make_pin_error(address, "")
    if name == "PinLocked":
        return ConfigurationError(
            f"The {address} is locked after too many wrong PINs.",
            "Unlock the token with its own tool.",
        )
    return ConfigurationError(
        f"The module {address.module} cannot use the {address}: {str(error) or name} ({name}).",
        "Check the module's path, and the token with its own tool. Many tokens cannot sign with"
        " Ed25519, or cannot sign long documents; ECDSA works with both.",
    )


def _make_pin_error(address: TokenAddress, source: str) -> ConfigurationError:
    """Say that a PIN is wrong, and where it came from if nobody typed it."""
    named = f", from {source}," if source else ""
    check = f"Check what {source} holds before you try again" if source else "Be careful"
    return ConfigurationError(
        f"The PIN for the {address}{named} is wrong.",
        f"{check}: most tokens lock after three wrong PINs.",
    )


def _read_pin(token: Token, address: TokenAddress, passphrase: Passphrase) -> tuple[object, str]:
    """Return the PIN, and its source if nobody types it.

    It is pkcs11's marker if it is typed on the token's own keypad.
    """
    if token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
        return pkcs11.PROTECTED_AUTH, ""
    if address.pin_source:
        pin, source = read_secret(address.pin_source), f"the file {address.pin_source}"
    else:
        pin = passphrase(f"the {address}")
        source = pin.source if isinstance(pin, GivenPassphrase) else ""
    try:
        return pin.rstrip(b"\r\n").decode(), source
    except UnicodeDecodeError as error:
        raise ConfigurationError("The PIN is not UTF-8.", "Check where it comes from.") from error


def _find_object(session: Session, address: TokenAddress, object_class: str) -> Any:  # noqa: ANN401
    """Find exactly one object of a class, such as ``PRIVATE_KEY``, for the address."""
    template: dict[Attribute, ObjectClass | str | bytes] = {
        Attribute.CLASS: ObjectClass[object_class]
    }
    if address.label is not None:
        template[Attribute.LABEL] = address.label
    if address.object_id is not None:
        template[Attribute.ID] = address.object_id
    objects = list(session.get_objects(template))
    if len(objects) != 1:
        name = object_class.lower().replace("_", " ")
        raise ConfigurationError(
            f"There are {len(objects)} {name}s for the {address} (expected 1).",
            "Name one with object= (its label) and id=; both halves of it must be on the token.",
        )
    return objects[0]


def _read_public_half(session: Session, address: TokenAddress) -> Key:
    """Read the public key that belongs to a private one.

    Raises:
        ConfigurationError: it is not on the token, or its algorithm is not in format §6.3.
    """
    public = _find_object(session, address, "PUBLIC_KEY")
    try:
        if public.key_type == KeyType.EC_EDWARDS:
            point = _decode_point(public[Attribute.EC_POINT], 32)
            return make_key(ed25519.Ed25519PublicKey.from_public_bytes(point))
        if public.key_type == KeyType.EC:
            curve, _, _ = CURVES[_NAMED_CURVES[bytes(public[Attribute.EC_PARAMS])]]
            size = 1 + 2 * ((curve.key_size + 7) // 8)
            point = _decode_point(public[Attribute.EC_POINT], size)
            return make_key(ec.EllipticCurvePublicKey.from_encoded_point(curve, point))
    except (KeyError, ValueError, NotTrustedError) as error:
        raise _unsupported_key_error(address) from error
    raise _unsupported_key_error(address)


def _unsupported_key_error(address: TokenAddress) -> ConfigurationError:
    return ConfigurationError(
        f"The {address} is of a type that airgap does not support.",
        "Make an ECDSA P-256 or P-384 key on the token, or Ed25519 if it can.",
    )


def _decode_point(value: bytes, size: int) -> bytes:
    """Take the point out of CKA_EC_POINT: an OCTET STRING, or on some tokens a BIT STRING."""
    point = bytes(value)[-size:]
    headers = (b"", bytes([4, size]), bytes([3, size + 1, 0]))
    if len(point) != size or bytes(value)[:-size] not in headers:
        raise ValueError("not a point")
    return point


def _read_flag(private: Any, attribute: Any) -> bool:  # noqa: ANN401
    """Read a boolean attribute; False if the token does not know it, as older ones do not."""
    try:
        return bool(private[attribute])
    except PKCS11Error:
        return False
