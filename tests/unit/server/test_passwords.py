"""Passwords and login throttling."""

import pytest

from airgap.server.dropbox import passwords
from airgap.server.dropbox.passwords import PasswordChecker, PasswordHash
from tests.support import drop_box


def test_a_hash_matches_only_its_password() -> None:
    password_hash = passwords.hash_password("tr0ub4dor")

    assert PasswordHash.parse(str(password_hash)) == password_hash
    assert password_hash.matches("tr0ub4dor")
    assert not password_hash.matches("tr0ub4dor ")


def test_two_hashes_of_one_password_differ() -> None:
    assert passwords.hash_password("same") != passwords.hash_password("same")


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_an_empty_or_overlong_password_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="1 to 1024"):
        passwords.hash_password(password)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        drop_box.HASH + "x",
        drop_box.HASH.replace("ln=14", "ln=10"),
        drop_box.HASH.replace("ln=14", "ln=30"),
        drop_box.HASH.replace("r=1,", "r=99,"),
        drop_box.HASH[:-8],
    ],
)
def test_text_that_is_not_a_hash_or_too_costly_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has"):
        PasswordHash.parse(text)


def test_the_password_checker_knows_its_users() -> None:
    checker = PasswordChecker({"ann": PasswordHash.parse(drop_box.HASH)})

    assert checker.check("ann", drop_box.PASSWORD)
    assert checker.check("ann", drop_box.PASSWORD)
    assert not checker.check("ann", "wrong")
    assert not checker.check("bob", drop_box.PASSWORD)
    assert not checker.check("ann", "x" * 2000)
