"""Carry BentoML services across an air gap.

The functions have the shape of BentoML's own: a script changes one import. They are imported when
they are first used, so that ``import airgap`` costs nothing.
"""

from typing import TYPE_CHECKING, Any

from airgap.version import __version__

if TYPE_CHECKING:
    import builtins

    from airgap import bentos, cloud, models
    from airgap.api.bentos import delete, get, list, pull, push  # noqa: A004  (BentoML's names)
    from airgap.api.bundles import (
        export_bento,
        export_model,
        import_bento,
        import_model,
        inspect,
        verify,
    )

__all__ = [
    "__version__",
    "bentos",
    "cloud",
    "delete",
    "export_bento",
    "export_model",
    "get",
    "import_bento",
    "import_model",
    "inspect",
    "list",
    "models",
    "pull",
    "push",
    "verify",
]
_MODULES = ("bentos", "cloud", "models")
_DEPOTS = ("delete", "get", "list", "pull", "push")


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module may hold anything)
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"airgap.{name}")
    if name in __all__:
        home = "bentos" if name in _DEPOTS else "bundles"
        return getattr(importlib.import_module(f"airgap.api.{home}"), name)
    raise AttributeError(f"module 'airgap' has no attribute {name!r}")


def __dir__() -> "builtins.list[str]":
    return __all__
