"""BentoML's exceptions, as ``bentoml.exceptions`` has them, for scripts that catch them.

Without BentoML, the three that airgap raises are airgap's own, so ``except`` works there too.
"""

from typing import TYPE_CHECKING, Any, Final

from airgap import errors

if TYPE_CHECKING:
    from bentoml.exceptions import BentoMLException as BentoMLException
    from bentoml.exceptions import InvalidArgument as InvalidArgument
    from bentoml.exceptions import NotFound as NotFound

__all__ = ["BentoMLException", "InvalidArgument", "NotFound"]

_OWN: Final = {
    "BentoMLException": errors.AirgapError,
    "InvalidArgument": errors.UsageError,
    "NotFound": errors.MissingError,
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module may hold anything)
    from airgap.store.bentoml_objects import load_exceptions

    exceptions = load_exceptions()
    if exceptions is None and name in _OWN:
        return _OWN[name]
    if exceptions is not None and not name.startswith("_"):
        return getattr(exceptions, name)
    raise AttributeError(f"module 'airgap.exceptions' has no attribute {name!r}")
