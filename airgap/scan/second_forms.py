"""Files of two forms: a reader that looks for its mark at another place finds another file."""

from typing import Final

from airgap.scan.contents import Content
from airgap.scan.hdf5 import HDF5_MARK

__all__ = ["find_second_form"]

_END_MARK: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_COMMENT_BYTES: Final = 65_535
_FIRST_HDF5: Final = 512


def find_second_form(content: Content, form: str) -> str:
    """Return the form that readers find who do not begin at the first byte; empty: none.

    A zip is read from its end, and HDF5 may begin at any doubling of 512 bytes.
    """
    if form != "zip" and _ends_as_zip(content):
        return "zip"
    if form != "HDF5" and _has_hdf5(content):
        return "HDF5"
    return ""


def _ends_as_zip(content: Content) -> bool:
    start = max(0, content.size - _END_BYTES - _COMMENT_BYTES)
    data = content.read(start, content.size - start)
    place = data.rfind(_END_MARK)
    while place >= 0:
        after = len(data) - place - _END_BYTES
        if after >= 0 and int.from_bytes(data[place + 20 :][:2], "little") == after:
            return True
        place = data.rfind(_END_MARK, 0, place)
    return False


def _has_hdf5(content: Content) -> bool:
    offset = _FIRST_HDF5
    while offset + len(HDF5_MARK) <= content.size:
        if content.read(offset, len(HDF5_MARK)) == HDF5_MARK:
            return True
        offset *= 2
    return False
