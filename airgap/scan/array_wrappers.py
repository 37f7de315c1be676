"""Arrays that joblib writes as raw numbers between two operations of a pickle."""

from dataclasses import dataclass
from math import prod
from typing import Final

from airgap.scan.contents import Content, Unreadable
from airgap.scan.pickle_values import Made

__all__ = ["NAME", "WrappedArray", "parse"]

NAME: Final = "joblib.numpy_pickle.NumpyArrayWrapper"
_MOST_DIMENSIONS: Final = 64


@dataclass(frozen=True, slots=True)
class WrappedArray:
    """How many bytes an array has, and whether a byte with the length of its padding precedes."""

    size: int
    is_object: bool
    is_padded: bool

    def find_end(self, content: Content, offset: int) -> int:
        """Return where the numbers end that follow ``offset``."""
        if self.is_padded:
            offset += 1 + content.read_exactly(offset, 1)[0]
        content.part(offset, self.size)  # they must be there
        return offset + self.size


def parse(state: object) -> WrappedArray:
    """Return the array that the state of joblib's wrapper describes.

    Raises:
        Unreadable: it describes none whose size follows from its type and shape.
    """
    match state:
        case {
            "shape": tuple(shape),
            "dtype": Made(name="numpy.dtype", arguments=(str(code), *_)),
            **others,
        }:
            padded = others.get("numpy_array_alignment_bytes")
        case _:
            raise Unreadable("an array of joblib has no type or no shape")
    if len(shape) > _MOST_DIMENSIONS or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Unreadable("the shape of an array of joblib is not one")
    width = _find_width(code)
    return WrappedArray(
        size=width * prod(n for n in shape if isinstance(n, int)),
        is_object=code.startswith("O"),
        is_padded=isinstance(padded, int) and not isinstance(padded, bool),
    )


def _find_width(code: str) -> int:
    """Return the bytes of one number of a type such as `f8`."""
    kind, digits = code[:1], code[1:]
    if kind not in "biufcSUVmMO" or not digits.isdecimal() or len(digits) > 9:  # noqa: PLR2004
        raise Unreadable(f"an array of joblib has numbers of the type {code}")
    return int(digits) * (4 if kind == "U" else 1)
