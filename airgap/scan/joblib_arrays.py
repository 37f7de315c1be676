"""Arrays that joblib writes as raw numbers between two operations of a pickle."""

from dataclasses import dataclass
from math import prod
from typing import Final

from airgap.scan.contents import Content
from airgap.scan.pickle_values import Named, NumpyType, demand, list_numbers
from airgap.scan.verdicts import Unreadable

__all__ = ["WrappedArray", "parse_wrapper"]

_ALIGNMENT: Final = 16
_FIELDS: Final = frozenset(
    {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}
)


@dataclass(frozen=True, slots=True)
class WrappedArray:
    """How many bytes an array has, and whether a pickle of its objects is in their place."""

    size: int
    is_object: bool

    def find_end(self, content: Content, offset: int) -> int:
        """Return where the numbers end that follow ``offset``.

        The byte that says how many bytes are padding is not an operation of a pickle: so a reader
        that is not joblib fails there, whatever the numbers would be to it.
        """
        padding = content.read_exactly(offset, 1)[0]
        demand(1 <= padding <= _ALIGNMENT, "an array of joblib is not aligned")
        filler = content.read_exactly(offset + 1, padding)
        demand(filler == b"\xff" * padding, "an array of joblib is padded with something")
        content.demand(offset + 1 + padding, self.size)
        return offset + 1 + padding + self.size


def parse_wrapper(state: dict[str, object]) -> WrappedArray:
    """Return the array that the state of joblib's wrapper describes.

    Raises:
        Unreadable: it describes none whose size follows from its type and shape, or not as joblib
            does from 1.2 on.
    """
    match state:
        case {
            "subclass": Named(("numpy", "ndarray")),
            "shape": shape,
            "order": "C" | "F",
            "dtype": NumpyType() as kind,
            "allow_mmap": bool(),
            "numpy_array_alignment_bytes": 16,
        } if state.keys() == _FIELDS:
            return WrappedArray(kind.width * prod(list_numbers(shape)), kind.is_object)
    raise Unreadable("an array of joblib is not one of joblib 1.2 or later")
