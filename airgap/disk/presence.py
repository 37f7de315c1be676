"""Whether something is there, asked without an error, for names that were read from a file.

The system has an error for a name of more than 255 bytes, and for links that lead in a circle:
nothing of that kind is there.
"""

import os
from pathlib import Path

__all__ = ["is_file", "is_folder"]


def is_folder(path: Path) -> bool:
    """Tell whether a path leads to a folder."""
    return os.path.isdir(path)  # noqa: PTH112  (raises nothing)


def is_file(path: Path) -> bool:
    """Tell whether a path leads to a regular file."""
    return os.path.isfile(path)  # noqa: PTH113  (raises nothing)
