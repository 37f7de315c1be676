"""Which bytes are an Ed25519 key of the prime order (format §7.2)."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.signing import ed25519_points
from airgap.signing.ed25519_points import is_prime_order_key

P = 2**255 - 19
# The y of the points of order eight, of RFC 7748's curve mapped to the twisted Edwards form.
EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7


def key(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


@pytest.mark.parametrize("number", range(8))
def test_a_key_that_was_made_is_good(number: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)

    assert is_prime_order_key(private.public_key().public_bytes_raw())


def test_the_base_point_is_of_the_prime_order() -> None:
    assert is_prime_order_key(bytes.fromhex("58" + "66" * 31))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(key(1), id="the neutral element"),
        pytest.param(key(1, 1), id="the neutral element, minus zero"),
        pytest.param(key(P - 1), id="order two"),
        pytest.param(key(P - 1, 1), id="order two, minus zero"),
        pytest.param(key(0), id="order four"),
        pytest.param(key(0, 1), id="minus order four"),
        *(
            pytest.param(key(y, sign), id=f"order eight {sign} {y > P // 2}")
            for y in (EIGHT, P - EIGHT)
            for sign in (0, 1)
        ),
        pytest.param(key(P), id="zero again"),
        pytest.param(key(P + 1), id="one again"),
        pytest.param(key(P + 18, 1), id="the largest y"),
        pytest.param(key(2), id="not on the curve"),
        pytest.param(b"\xff" * 32, id="all ones"),
    ],
)
def test_a_point_that_many_can_sign_for_is_refused(raw: bytes) -> None:
    assert not is_prime_order_key(raw)


@pytest.mark.parametrize("small", [P - 1, 0, EIGHT])
def test_a_good_point_plus_one_of_low_order_is_refused(small: int) -> None:
    good = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    one, other = ed25519_points._decompress(good), ed25519_points._decompress(key(small))
    assert one is not None
    assert other is not None

    x, y, z, _ = ed25519_points._add(one, other)
    inverse = pow(z, -1, P)
    mixed = key(y * inverse % P, x * inverse % P & 1)

    assert ed25519_points._decompress(mixed) is not None
    assert not is_prime_order_key(mixed)


def test_adding_is_the_curves_own() -> None:
    point = ed25519_points._decompress(bytes.fromhex("58" + "66" * 31))
    assert point is not None
    minus = (P - point[0], point[1], 1, P - point[3])

    assert ed25519_points._is_identity(ed25519_points._add(point, minus))
    assert not ed25519_points._is_identity(ed25519_points._add(point, point))
