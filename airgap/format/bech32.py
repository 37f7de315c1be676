"""Bech32 of any length (BIP 173 without its limit of 90 characters): age keys are written in it."""

from collections.abc import Iterable
from typing import Final

__all__ = ["decode", "encode"]

_CHARACTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {character: value for value, character in enumerate(_CHARACTERS)}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6  # characters


def encode(prefix: str, data: bytes) -> str:
    """Encode bytes, in lower case, after a lower-case prefix and ``1``."""
    values = _regroup(data, 8, 5, pad=True)
    checksum = _remainder([*_expand(prefix), *values, *[0] * _CHECKSUM]) ^ 1
    values += [checksum >> 5 * (_CHECKSUM - 1 - at) & 31 for at in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_CHARACTERS[value] for value in values)}"


def decode(text: str) -> tuple[str, bytes]:
    """Return the prefix, in lower case, and the bytes.

    Raises:
        ValueError: it is not Bech32: mixed case, another character, a wrong checksum, or padding
            that an encoder does not write.
    """
    if text not in (text.lower(), text.upper()):
        raise ValueError("mixed case")
    prefix, separator, encoded = text.lower().rpartition("1")
    if not separator or not prefix or len(encoded) < _CHECKSUM:
        raise ValueError("too short")
    if not set(encoded) <= _VALUES.keys() or not all("!" <= one <= "~" for one in prefix):
        raise ValueError("a character that Bech32 does not have")
    values = [_VALUES[character] for character in encoded]
    if _remainder([*_expand(prefix), *values]) != 1:
        raise ValueError("a wrong checksum")
    return prefix, bytes(_regroup(values[:-_CHECKSUM], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _remainder(values: Iterable[int]) -> int:
    remainder = 1
    for value in values:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(_GENERATORS):
            remainder ^= generator if top >> at & 1 else 0
    return remainder


def _regroup(values: Iterable[int], width: int, to: int, *, pad: bool) -> list[int]:
    """Cut a row of numbers of ``width`` bits into numbers of ``to`` bits."""
    held = bits = 0
    regrouped = []
    for value in values:
        held = held << width | value
        bits += width
        while bits >= to:
            bits -= to
            regrouped.append(held >> bits & (1 << to) - 1)
        held &= (1 << bits) - 1
    if pad and bits:
        regrouped.append(held << to - bits & (1 << to) - 1)
    elif not pad and (bits >= width or held):
        raise ValueError("padding that is not zero")
    return regrouped
