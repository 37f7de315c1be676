"""Addresses of keys on tokens, as people write them."""

import pytest

from airgap.errors import UsageError

pkcs11_token = pytest.importorskip(
    "airgap.signing.pkcs11_token", reason="python-pkcs11 is not installed"
)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("token=ward;object=builder", "key builder on token ward"),
        ("serial=00ff;id=%01%fe", "key 01fe on token 00ff"),
        ("serial=%c3%bc;object=builder", r"key builder on token \xc3\xbc"),
        ("object=builder", "key builder on token ?"),
    ],
)
def test_an_address_is_described(address: str, text: str) -> None:
    assert str(pkcs11_token.parse(f"{address};module-path=/m.so")) == text


@pytest.mark.parametrize("name", ["token", "object", "type", "module-path", "pin-source"])
def test_a_nul_character_is_refused(name: str) -> None:
    attributes = {"object": "builder", "module-path": "/m.so", name: "private%00"}

    with pytest.raises(UsageError):
        pkcs11_token.parse(";".join(f"{key}={value}" for key, value in attributes.items()))
