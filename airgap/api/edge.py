"""The edge of the Python API: arguments are checked here, and errors become BentoML's as well.

Where BentoML is installed, a script that was written for it catches its exceptions. An error that
leaves the API therefore gets a class that has both parents: ``MissingError`` is ``NotFound`` too,
``UsageError`` is ``InvalidArgument``, and all are ``BentoMLException``. Nothing below knows of it.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

from airgap.api.arguments import check_arguments
from airgap.api.callbacks import CallbackFailure
from airgap.errors import AirgapError, MissingError, UsageError

__all__ = ["adapt_error", "edge"]

P = ParamSpec("P")
R = TypeVar("R")

_PARENTS: Final[dict[type[AirgapError], str]] = {
    MissingError: "NotFound",
    UsageError: "InvalidArgument",
    AirgapError: "BentoMLException",
}
"""The exceptions of BentoML that an error is, the most special one first."""

_CLASSES: Final[dict[type[AirgapError], type[AirgapError]]] = {}
"""The classes that were made, by the one that each stands for."""


def edge(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function one of the public API.

    Raises:
        TypeError: an argument has the wrong type, or there is no such argument.
        UsageError: an argument is not one of the texts that are allowed.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            check_arguments(call.__qualname__, _bind(signature, function, args, kwargs))
            return function(*args, **kwargs)
        except CallbackFailure as failure:
            raise failure.error from None
        except AirgapError as error:
            adapt_error(error)
            raise

    return call


def _bind(
    signature: inspect.Signature,
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> inspect.BoundArguments:
    """Match arguments with parameters.

    Raises:
        TypeError: they do not match; Python's own words name the function.
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError:
        function(*args, **kwargs)
        raise


def adapt_error(error: AirgapError) -> None:
    """Make an error one of BentoML's too, and add the hint to what a traceback shows.

    The object stays the same, with its traceback, cause and context: only its class changes.
    """
    if _is_adapted(error):
        return
    if error.hint:
        error.add_note(error.hint)
    adapted = _make_class(type(error))
    if adapted is not None:
        # The parents of BentoML add no fields, so both classes have one layout.
        cast("Any", error).__class__ = adapted


def _is_adapted(error: AirgapError) -> bool:
    return "_airgap_class" in vars(type(error))


def _make_class(cls: type[AirgapError]) -> type[AirgapError] | None:
    """Return a class with the parent of BentoML; None if BentoML cannot be imported."""
    if cls in _CLASSES:
        return _CLASSES[cls]
    from airgap.store.bentoml_objects import load_exceptions

    exceptions = load_exceptions()
    if exceptions is None:
        return None
    name = next(name for parent, name in _PARENTS.items() if issubclass(cls, parent))
    fields = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__reduce__": _reduce,
        "_airgap_class": cls,
    }
    return _CLASSES.setdefault(cls, type(cls.__name__, (cls, getattr(exceptions, name)), fields))


def _reduce(error: AirgapError) -> tuple[Any, ...]:
    """Pickle and copy by the class below, which every process can import."""
    return _restore, (cast("Any", type(error))._airgap_class, error.args), vars(error)  # noqa: SLF001  (ours)


def _restore(cls: type[AirgapError], args: tuple[Any, ...]) -> AirgapError:
    """Make the error again; of both trees where BentoML is installed.

    Its fields follow, so ``__init__``, which takes other arguments in some classes, is not called.
    """
    restored = _make_class(cls) or cls
    return restored.__new__(restored, *args)
