"""Checks that an Ed25519 public key is a canonical point of prime order (format §7.2).

Under a point of low or mixed order, signatures verify that its holder never made, or one signature
verifies under several keys. OpenSSL accepts such points, so they are refused before it sees them.
All values are public: nothing here needs constant time.
"""

from functools import lru_cache
from typing import Final

__all__ = ["is_prime_order_key"]

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T
_IDENTITY: Final[_Point] = (0, 1, 1, 0)


@lru_cache(maxsize=256)  # called for each signature by the same few keys
def is_prime_order_key(raw: bytes) -> bool:
    """Tell whether 32 bytes are the canonical encoding of a point of exactly the prime order."""
    point = _decompress(raw)
    return point is not None and not _is_identity(point) and _is_identity(_multiply_by_order(point))


def _decompress(raw: bytes) -> _Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None  # non-canonical
    numerator, denominator = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x2 = numerator * pow(denominator, -1, _P) % _P
    x = pow(x2, (_P + 3) // 8, _P)
    if (x * x - x2) % _P:
        x = x * _SQRT_MINUS_ONE % _P
    if (x * x - x2) % _P or (x == 0 and sign):
        return None  # not on the curve, or "minus zero"
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(left: _Point, right: _Point) -> _Point:
    """Add two points (RFC 8032 §5.1.4)."""
    a = (left[1] - left[0]) * (right[1] - right[0]) % _P
    b = (left[1] + left[0]) * (right[1] + right[0]) % _P
    c = 2 * left[3] * right[3] * _D % _P
    d = 2 * left[2] * right[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply_by_order(point: _Point) -> _Point:
    result, addend, scalar = _IDENTITY, point, _ORDER
    while scalar:
        if scalar & 1:
            result = _add(result, addend)
        addend = _add(addend, addend)
        scalar >>= 1
    return result


def _is_identity(point: _Point) -> bool:
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0
