"""The command line starts with any C library."""

import ctypes

import pytest

from airgap.cli import main


class _Without:
    """A C library that has no ``mallopt``, as musl's and Apple's."""

    def __init__(self, _: object) -> None:
        """Have nothing."""


def test_a_c_library_without_mallopt_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", _Without)

    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])

    assert ended.value.code == 0
