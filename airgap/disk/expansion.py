"""Paths in environment variables: ``~`` and other variables in them, as unit files leave them."""

import os
from typing import Final

from airgap.errors import ConfigurationError

__all__ = ["expand"]

_ROUNDS: Final = 100
_MOST_CHARACTERS: Final = 64 * 1024
"""More than a path has. A variable that names itself twice doubles with each round."""


def expand(text: str, variable: str) -> str:
    """Expand ``~`` and variables until nothing changes, as BentoML does with ``BENTOML_HOME``.

    A user or a variable that does not exist stays as it is. ``variable`` is where the text is from.

    Raises:
        ConfigurationError: it refers to itself.
    """
    for _ in range(_ROUNDS):
        expanded = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111  (as BentoML does)
        if expanded == text:
            return text
        if len(expanded) > _MOST_CHARACTERS:
            break
        text = expanded
    raise ConfigurationError(
        f"The variable {variable} refers to itself.", "Set it to the path of a folder."
    )
