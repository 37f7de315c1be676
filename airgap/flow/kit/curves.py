"""Verifies Ed25519 and ECDSA signatures with Python alone, where there is no openssl.

It travels in kits, and imports nothing of airgap. ``openssl`` takes the arguments that verify.py
gives to the program of that name. Nothing here is secret, so that time may tell what it likes.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["openssl"]

Point = Any  # two integers; for Weierstrass curves also None, the point at infinity
Curve = tuple[int, int, tuple[int, int], int]

# Ed25519 (RFC 8032 §5.1): prime, d, order of the base point, base point
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
L = 2**252 + 0x14DEF9DEA2F79CD65812631A5CF5D3ED
BASE = (
    0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A,
    0x6666666666666666666666666666666666666666666666666666666666666658,
)
ED25519 = bytes.fromhex("302a300506032b6570032100")  # what precedes the key in its SPKI
SIGNATURE_BYTES = 64
# NIST's curves (FIPS 186, SEC 2): prime, order, base point; and b of y² = x³ - 3x + b
P256 = (
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF,
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
)
P384 = (
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
    (
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E0_82542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113_B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
    ),
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F_5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
)
WEIERSTRASS = {
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"): (P256, "sha256"),
    bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"): (P384, "sha384"),
}


def openssl(*arguments: str, **files: bytes) -> SimpleNamespace:
    """Check a public key (``pkey``) or a signature (``pkeyutl``, ``dgst``).

    Of ``files``, ``key`` is a public key in PEM, ``sig`` a signature of ``text``.
    """
    spki = b64decode(b"".join(files["key"].split(b"\n")[1:-2]))
    prefix = next((one for one in (ED25519, *WEIERSTRASS) if spki.startswith(one)), None)
    if prefix is None:
        return SimpleNamespace(returncode=1, stdout=b"", stderr=b"this algorithm needs openssl")
    raw = spki[len(prefix) :]
    if arguments[0] == "pkey":
        is_edwards = prefix == ED25519
        point = find_edwards(raw) if is_edwards else find_weierstrass(WEIERSTRASS[prefix][0], raw)
        good = point is not None
    elif prefix == ED25519:
        good = verifies_ed25519(raw, files["sig"], files["text"])
    else:
        good = verifies_ecdsa(*WEIERSTRASS[prefix], raw, files["sig"], files["text"])
    stderr = b"" if good else b"verification failure"
    return SimpleNamespace(returncode=0 if good else 1, stdout=b"", stderr=stderr)


def multiply(add: Callable[[Point, Point], Point], number: int, point: Point, zero: Point) -> Point:
    """Multiply a point of a curve, by doubling."""
    total = zero
    for bit in f"{number:b}"[::-1]:
        if bit == "1":
            total = add(total, point)
        point = add(point, point)
    return total


def add_edwards(a: Point, b: Point) -> Point:
    """Add two points of Ed25519."""
    t = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + t, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P


def find_edwards(raw: bytes) -> Point:
    """Return the point of 32 bytes (RFC 8032 §5.1.3); None if there is none."""
    y = int.from_bytes(raw, "little") % 2**255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x % 2 != raw[-1] >> 7:
        x = P - x
    return (x, y) if y < P and x * x % P == square and 0 < x < P else None


def verifies_ed25519(raw: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is the key's (RFC 8032 §5.1.7), as openssl does: by its R."""
    point, s = find_edwards(raw), int.from_bytes(signature[32:], "little")
    if point is None or len(signature) != SIGNATURE_BYTES or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + raw + message).digest()
    minus = (P - point[0], point[1])
    hashed = multiply(add_edwards, int.from_bytes(digest, "little") % L, minus, (0, 1))
    x, y = add_edwards(multiply(add_edwards, s, BASE, (0, 1)), hashed)
    return bool((y + (x % 2 << 255)).to_bytes(32, "little") == signature[:32])


def add_weierstrass(p: int) -> Callable[[Point, Point], Point]:
    """Return the addition of points of y² = x³ - 3x + b; None is the point at infinity."""

    def add(a: Point, b: Point) -> Point:
        if a is None or b is None:
            return a or b
        if a[0] == b[0] and (a[1] + b[1]) % p == 0:
            return None
        rise, run = (3 * a[0] ** 2 - 3, 2 * a[1]) if a == b else (b[1] - a[1], b[0] - a[0])
        slope = rise * pow(run, -1, p)
        x = (slope * slope - a[0] - b[0]) % p
        return x, (slope * (a[0] - x) - a[1]) % p

    return add


def find_weierstrass(curve: Curve, raw: bytes) -> Point:
    """Return the point of two numbers; None if it is not on the curve."""
    p, _, _, b = curve
    half = len(raw) // 2
    x, y = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    return (x, y) if x < p and y < p and (y * y - x**3 + 3 * x - b) % p == 0 else None


def verifies_ecdsa(curve: Curve, digest: str, raw: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is the key's (SEC 1 §4.1.4); verify.py has checked its form."""
    p, order, base, _ = curve
    point = find_weierstrass(curve, raw)
    middle = 4 + signature[3]
    r = int.from_bytes(signature[4:middle], "big")
    s = int.from_bytes(signature[middle + 2 :], "big")
    if point is None or not (0 < r < order and 0 < s < order):
        return False
    number = int.from_bytes(hashlib.new(digest, message).digest(), "big")
    inverse, add = pow(s, -1, order), add_weierstrass(p)
    hashed = multiply(add, number * inverse % order, base, None)
    total = add(hashed, multiply(add, r * inverse % order, point, None))
    return total is not None and total[0] % order == r
