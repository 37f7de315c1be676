"""Carry BentoML services across an air gap.

The functions have the shape of BentoML's own: a script changes one import. They are imported when
they are first used, so that ``import airgap`` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airgap.flow.api import (
        export_bento,
        export_model,
        import_bento,
        import_model,
        inspect,
        verify,
    )

__all__ = [
    "__version__",
    "export_bento",
    "export_model",
    "import_bento",
    "import_model",
    "inspect",
    "verify",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module may hold anything)
    if name in __all__:
        from airgap.flow import api  # noqa: PLC0415  (the reason for this function)

        return getattr(api, name)
    raise AttributeError(f"module 'airgap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
