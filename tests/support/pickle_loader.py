"""Loads a pickle with Python's own reader, which is given harmless names only."""

import io
import pickle  # noqa: TID251 -- the real reader
import re
from typing import Final, Self

from airgap.scan.pickle_calls import find_named
from airgap.scan.verdicts import Unreadable

__all__ = ["OutsideError", "load"]


_MODULE: Final = re.compile(r"[\w.-]+")


class _Harmless:
    """Stands for every listed name: it can be called, made, filled and used as a base."""

    def __new__(cls, *_arguments: object, **_names: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_arguments: object, **_names: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass


class OutsideError(Exception):
    """The pickle asks for what is not listed."""


class _Loader(pickle.Unpickler):
    """The real reader, which must not be asked for anything that is not listed."""

    def find_class(self, module: str, name: str) -> object:
        if not _MODULE.fullmatch(module.strip()):
            raise ModuleNotFoundError(module)  # as the real one does: no module has such a name
        try:
            find_named((module, name))
        except Unreadable as error:
            raise OutsideError(f"{module}.{name}") from error
        return _Harmless


def load(data: bytes) -> None:
    """Load with the real reader; what is not listed raises OutsideError."""
    try:
        _Loader(io.BytesIO(data)).load()
    except OutsideError:
        raise
    except Exception:  # noqa: BLE001 -- stand-ins do not take every call
        return
