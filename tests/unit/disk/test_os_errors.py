"""What the disk refused becomes an error with a hint."""

import errno
import os

import pytest

from airgap.disk.os_errors import storage_error


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some of your quota"),
        (errno.EROFS, "Mount it for writing, or choose another location."),
        (errno.EIO, "The medium may be damaged"),
        (errno.EFBIG, "Raise the limit"),
        (errno.ENOLCK, "Choose a file system with locks"),
        (errno.EOPNOTSUPP, "Choose another file system"),
        (errno.ESTALE, "The server has removed it"),
        (errno.EXDEV, "Put the whole folder on one file system"),
        (errno.ENOTEMPTY, "Check the path and the disk"),
    ],
)
def test_what_the_disk_refused_is_told_with_what_to_do(number: int, hint: str) -> None:
    told = storage_error(OSError(number, os.strerror(number)), "/disk/file")

    assert told.message == f"/disk/file: {os.strerror(number)}."
    assert told.hint.startswith(hint)


def test_an_error_without_a_number_is_told_by_its_name() -> None:
    assert storage_error(OSError("odd"), "/x").message == "/x: OSError."
