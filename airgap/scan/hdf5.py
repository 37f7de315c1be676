"""HDF5: weights of Keras are inert; a whole model of Keras in it can hold a program."""

from typing import Final

from airgap.scan.contents import PIECE, Content
from airgap.scan.verdicts import Assessment, inert, refused

__all__ = ["HDF5_MARK", "assess_hdf5"]

HDF5_MARK: Final = b"\x89HDF\r\n\x1a\n"
_MODEL: Final = b"model_config"


def assess_hdf5(content: Content) -> Assessment:
    """Assess an HDF5 file: it may not hold the description of a model.

    Names of attributes lie in the file as they are, never packed, so that one search finds them.
    """
    rest = b""
    for offset in range(0, content.size, PIECE):
        data = rest + content.read(offset, PIECE)
        if _MODEL in data:
            return refused("HDF5", "it holds a whole model of Keras: save it as .keras")
        rest = data[1 - len(_MODEL) :]
    return inert("HDF5")
