"""What BentoML raises while it reads its store becomes an error of airgap."""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from airgap.errors import AirgapError, ConfigurationError, MissingError, StorageError
from airgap.store import bentoml_objects


class NotFound(Exception):  # noqa: N818  (BentoML's name)
    pass


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Put in the place of bentoml a module whose every function raises this."""

    def install(error: Exception) -> None:
        def fail(*_: object) -> None:
            raise error

        calls = SimpleNamespace(get=fail, list=fail, delete=fail)
        module = ModuleType("bentoml")
        module.__spec__ = ModuleSpec("bentoml", None)
        vars(module).update(
            bentos=calls, models=calls, exceptions=SimpleNamespace(NotFound=NotFound)
        )
        monkeypatch.setitem(sys.modules, "bentoml", module)

    return install


CALLS: dict[str, Callable[[], object]] = {
    "get_bento": lambda: bentoml_objects.get_bento("shop:v1"),
    "get_model": lambda: bentoml_objects.get_model("ranker:v1"),
    "list_bentos": lambda: bentoml_objects.list_bentos(None),
    "list_models": lambda: bentoml_objects.list_models("ranker"),
    "delete_bento": lambda: bentoml_objects.delete_bento("shop:v1"),
    "delete_model": lambda: bentoml_objects.delete_model("ranker:v1"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_foreign_error_is_wrapped(name: str, raising: Callable[[Exception], None]) -> None:
    raising(TypeError("can't compare offset-naive\nand more"))

    with pytest.raises(StorageError) as caught:
        CALLS[name]()

    assert "TypeError can't compare offset-naive." in caught.value.message
    assert "airgap doctor" in caught.value.hint


@pytest.mark.parametrize("name", CALLS)
def test_what_bentoml_does_not_find_is_missing_or_in_another_store(
    name: str, raising: Callable[[Exception], None]
) -> None:
    raising(NotFound("no Bento"))

    with pytest.raises(MissingError if "list" in name else ConfigurationError):
        CALLS[name]()


def test_an_error_of_airgap_stays_itself(raising: Callable[[Exception], None]) -> None:
    error = AirgapError("It is so.", "Do that.")
    raising(error)

    with pytest.raises(AirgapError) as caught:
        bentoml_objects.list_bentos(None)
    assert caught.value is error
