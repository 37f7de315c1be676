"""Bentos, as ``bentoml.bentos`` has them; see ``airgap.api.bentos``."""

import importlib
from typing import TYPE_CHECKING, Any, Final

from airgap.api.bentos import delete, export_bento, get, import_bento, list, pull, push

if TYPE_CHECKING:
    from bentoml.bentos import build as build
    from bentoml.bentos import build_bentofile as build_bentofile
    from bentoml.bentos import containerize as containerize

__all__ = ["delete", "export_bento", "get", "import_bento", "list", "pull", "push"]

_PASSED_ON: Final = ("build", "build_bentofile", "containerize")


if not TYPE_CHECKING:  # a type checker knows the names, and sees the ones that are wrong

    def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module may hold anything)
        if name in _PASSED_ON:
            return getattr(importlib.import_module("bentoml.bentos"), name)
        raise AttributeError(f"module 'airgap.bentos' has no attribute {name!r}")
