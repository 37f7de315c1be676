"""BentoML's own objects of installed Bentos and models. Only this module imports bentoml."""

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from airgap.errors import AirgapError, ConfigurationError, MissingError, StorageError
from airgap.printable import cut_text
from airgap.store import bentoml_home

if TYPE_CHECKING:
    from bentoml import Bento as Bento  # noqa: PLC0414  (re-exported for annotations)
    from bentoml import Model as Model  # noqa: PLC0414

__all__ = [
    "delete_bento",
    "delete_model",
    "get_bento",
    "get_model",
    "is_own_store",
    "list_bentos",
    "list_models",
    "load_bentoml",
    "load_exceptions",
    "require_bentoml",
]


def require_bentoml() -> None:
    """Raise ConfigurationError unless bentoml is installed; it is not imported."""
    if importlib.util.find_spec("bentoml") is None:
        raise ConfigurationError(
            "BentoML is not installed, so no Bento object can be returned.",
            "Install bento-airgap[bentoml], or use `airgap import`, which needs no BentoML.",
        )


def load_bentoml(module: str = "") -> ModuleType:
    """Import bentoml, or a module of it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return importlib.import_module(f"bentoml.{module}" if module else "bentoml")


def load_exceptions() -> ModuleType | None:
    """Import ``bentoml.exceptions``, which is quick; None if BentoML is not installed, or broken.

    This is asked while an error is on its way, so nothing that BentoML raises may replace it.
    """
    try:
        return load_bentoml("exceptions")
    except Exception:  # noqa: BLE001  (BentoML raises what its libraries raise)
        return None


def get_bento(tag: str) -> "Bento":
    """Return a Bento that is in the store.

    Raises:
        ConfigurationError: bentoml is not installed, or uses another store.
        StorageError: BentoML cannot read it.
    """
    with _open_bentoml(f"the Bento {tag}") as bentoml:
        try:
            bento: Bento = bentoml.bentos.get(tag)
        except bentoml.exceptions.NotFound as error:
            raise _make_other_store_error(tag) from error
        return bento


def get_model(tag: str) -> "Model":
    """Return a model that is in the store; raises as ``get_bento``."""
    with _open_bentoml(f"the model {tag}") as bentoml:
        try:
            model: Model = bentoml.models.get(tag)
        except bentoml.exceptions.NotFound as error:
            raise _make_other_store_error(tag) from error
        return model


@contextmanager
def _open_bentoml(what: str) -> Iterator[Any]:
    """Import bentoml for the block, and turn what it raises there into an error of airgap.

    ``what`` is what BentoML is to read, for the message.

    Raises:
        ConfigurationError: bentoml is not installed.
        MissingError: BentoML says that it is not there.
        StorageError: BentoML cannot read it.
    """
    require_bentoml()
    import bentoml

    try:
        yield bentoml
    except AirgapError:
        raise
    except bentoml.exceptions.NotFound as error:
        raise MissingError(
            f"BentoML does not find {what}: {_summarize(error)}.",
            "`airgap list` shows what is in the store.",
        ) from error
    except Exception as error:  # (BentoML raises what its libraries raise)
        raise StorageError(
            f"BentoML cannot read {what}: {_summarize(error)}.",
            "Run `airgap doctor`: it names the items that BentoML cannot read.",
        ) from error


def _summarize(error: Exception) -> str:
    """Return the type and the first line of what was raised, without its last period."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__} {cut_text(lines[0], 200)}".strip().removesuffix(".")


def is_own_store(store: object) -> bool:
    """Tell whether a store object of BentoML is one of ``BENTOML_HOME``."""
    path = getattr(store, "_path", None)
    return path is not None and Path(path).parent == bentoml_home.home()


def list_bentos(tag: object) -> "list[Bento]":
    """Return the Bentos in the store, or those of a name.

    Raises:
        ConfigurationError: bentoml is not installed.
        MissingError: no Bento has the name.
        StorageError: BentoML cannot read one of them.
    """
    with _open_bentoml("its store of Bentos") as bentoml:
        bentos: list[Bento] = bentoml.bentos.list(None if tag is None else str(tag))
    return bentos


def list_models(tag: object) -> "list[Model]":
    """Return the models in the store, or those of a name; raises as ``list_bentos``."""
    with _open_bentoml("its store of models") as bentoml:
        models: list[Model] = bentoml.models.list(None if tag is None else str(tag))
    return models


def delete_bento(tag: str) -> None:
    """Delete a Bento from the store; raises as ``get_bento``."""
    get_bento(tag)
    with _open_bentoml(f"the Bento {tag}") as bentoml:
        bentoml.bentos.delete(tag)


def delete_model(tag: str) -> None:
    """Delete a model from the store; raises as ``get_bento``."""
    get_model(tag)
    with _open_bentoml(f"the model {tag}") as bentoml:
        bentoml.models.delete(tag)


def _make_other_store_error(tag: str) -> ConfigurationError:
    return ConfigurationError(
        f"{tag} is in {bentoml_home.home()}, but BentoML in this process uses another store.",
        "Set BENTOML_HOME before bentoml is imported.",
    )
