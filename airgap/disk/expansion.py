"""Paths in environment variables: ``~`` and other variables in them, as unit files leave them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError

__all__ = ["expand", "expand_home"]

_ROUNDS: Final = 100
_MOST_CHARACTERS: Final = 16 * 1024
"""Four times what a path may have. A variable that names itself twice doubles with each round."""
_VARIABLE: Final = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)
_VARIABLE_WITHOUT_BRACES: Final = re.compile(r"\$(\w+)", re.ASCII)


def expand(text: str, variable: str) -> str:
    """Expand ``~`` and variables until nothing changes, as BentoML does with ``BENTOML_HOME``.

    A user or a variable that does not exist stays as it is. ``variable`` is where the text is from.

    Raises:
        ConfigurationError: it refers to itself, or is longer than a path can be.
    """
    for _ in range(_ROUNDS):
        if len(text) > _MOST_CHARACTERS:
            break
        expanded = os.path.expanduser(_expand_variables(text))  # noqa: PTH111  (as BentoML does)
        if expanded == text:
            return text
        text = expanded
    raise ConfigurationError(
        f"The variable {variable} refers to itself, or is longer than a path can be.",
        "Set it to the path of a folder.",
    )


def expand_home(path: Path | str) -> Path:
    """Replace ``~`` at the beginning; it stays if the user has no home, as in some containers."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (Path.expanduser raises instead)


def _expand_variables(text: str) -> str:
    """Expand each variable once, as ``os.path.expandvars`` does; stop where it gets too long.

    That function copies the whole text for each variable: 18,000 characters took half a minute.
    """
    parts: list[str] = []
    end = size = 0
    for match in _find_variables(text):
        value = os.environ.get(match[match.lastindex or 1])
        if value is None:
            continue
        parts += [text[end : match.start()], value]
        size += len(parts[-2]) + len(value)
        end = match.end()
        if size > _MOST_CHARACTERS:
            break
    return "".join([*parts, text[end:]])


def _find_variables(text: str) -> Iterator[re.Match[str]]:
    """Find variables in linear time: each ``${`` behind the last brace would search to the end."""
    begin = text.rfind("}") + 1
    yield from _VARIABLE.finditer(text, 0, begin)
    yield from _VARIABLE_WITHOUT_BRACES.finditer(text, begin)
