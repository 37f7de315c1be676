"""Errors at the edge of the Python API: airgap's own, and BentoML's too."""

import copy
import importlib
import pickle  # noqa: TID251  (its own bytes)
import subprocess
import sys

import bentoml.exceptions
import pytest

from airgap import errors, exceptions
from airgap.api import edge as edges
from airgap.api.edge import adapt_error, edge
from airgap.errors import AirgapError, MissingError, StorageError, UsageError
from airgap.flow.bundle.open_to_sign import UnnamedBundleError
from airgap.store import bentoml_objects

LEAVES = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, AirgapError)
]


@edge
def fail(kind: type[Exception]) -> None:
    raise kind("It failed.", "Do this.") from ValueError("why")


def catch(kind: type[AirgapError]) -> AirgapError:
    with pytest.raises(kind) as caught:
        fail(kind)
    return caught.value


@pytest.fixture
def no_bentoml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where BentoML is not installed, and nothing was adapted yet."""
    monkeypatch.setattr(bentoml_objects, "load_exceptions", lambda: None)
    monkeypatch.setattr(edges, "_CLASSES", {})


@pytest.mark.parametrize("kind", LEAVES)
def test_every_error_is_one_of_bentoml(kind: type[AirgapError]) -> None:
    error = catch(kind)

    assert isinstance(error, bentoml.exceptions.BentoMLException)
    assert isinstance(error, bentoml.exceptions.NotFound) == (kind is MissingError)
    assert isinstance(error, bentoml.exceptions.InvalidArgument) == (kind is UsageError)


@pytest.mark.parametrize("kind", LEAVES)
def test_an_error_keeps_what_it_says(kind: type[AirgapError]) -> None:
    error = catch(kind)

    assert (error.message, error.hint, error.details) == ("It failed.", "Do this.", ())
    assert (error.kind, error.exit_code) == (kind.kind, kind.exit_code)
    assert (type(error).__name__, type(error).__module__) == (kind.__name__, "airgap.errors")
    assert str(error) == "It failed."
    assert error.__notes__ == ["Do this."]


def test_a_more_special_error_is_adapted_as_its_parent() -> None:
    error = catch(UnnamedBundleError)

    assert isinstance(error, bentoml.exceptions.InvalidArgument)
    assert type(error).__name__ == "UnnamedBundleError"


def test_cause_and_traceback_stay() -> None:
    error = catch(StorageError)

    assert isinstance(error.__cause__, ValueError)
    names = []
    traceback = error.__traceback__
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names[-1] == "fail"


def test_an_error_is_adapted_once() -> None:
    error = catch(MissingError)
    cls = type(error)

    adapt_error(error)

    assert type(error) is cls
    assert error.__notes__ == ["Do this."]


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_can_be_copied_and_pickled(copied: object) -> None:
    assert callable(copied)
    again = copied(catch(MissingError))

    assert isinstance(again, MissingError)
    assert isinstance(again, bentoml.exceptions.NotFound)
    assert (again.message, again.hint, again.exit_code) == ("It failed.", "Do this.", 13)


def list_all_errors() -> list[type[AirgapError]]:
    """Return every error of the package, once all its modules are imported."""
    classes, found = [AirgapError], []
    while classes:
        cls = classes.pop()
        if cls not in edges._CLASSES.values():
            found.append(cls)
            classes += cls.__subclasses__()
    return found


def test_every_error_of_the_package_can_be_adapted_and_pickled() -> None:
    for name in (
        *("chunks.missing_chunks", "bundle.open_bundle", "bundle.open_to_sign"),
        *("publishing.publish", "location.readers", "importing.use_case"),
    ):
        importlib.import_module(f"airgap.flow.{name}")
    importlib.import_module("airgap.transport.sftp.session")
    kinds = list_all_errors()

    assert len(kinds) > len(LEAVES)
    for kind in kinds:
        error = kind.__new__(kind, "It failed.")
        vars(error).update(message="It failed.", hint="Do this.", details=(), extra=kind.__name__)
        adapt_error(error)
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  (its own bytes)
        assert type(again) is type(error)
        assert isinstance(again, (kind, bentoml.exceptions.BentoMLException))
        assert vars(again) == vars(error)


@pytest.mark.usefixtures("no_bentoml")
def test_without_bentoml_an_error_is_airgaps_own() -> None:
    error = catch(MissingError)

    assert type(error) is MissingError
    assert error.__notes__ == ["Do this."]


@pytest.mark.usefixtures("no_bentoml")
def test_an_error_that_was_pickled_with_bentoml_is_read_without_it() -> None:
    restored = edges._restore(MissingError, ("It failed.",))

    assert type(restored) is MissingError


def test_the_exceptions_of_bentoml_are_passed_on() -> None:
    assert exceptions.NotFound is bentoml.exceptions.NotFound
    assert exceptions.BadInput is bentoml.exceptions.BadInput
    with pytest.raises(AttributeError):
        _ = exceptions.Nothing


@pytest.mark.usefixtures("no_bentoml")
def test_without_bentoml_its_exceptions_are_airgaps_own() -> None:
    names = ("NotFound", "InvalidArgument", "BentoMLException")

    own = [getattr(exceptions, name) for name in names]

    assert own == [MissingError, UsageError, AirgapError]
    with pytest.raises(AttributeError):
        _ = exceptions.BadInput


def test_a_bentoml_that_cannot_be_imported_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: str) -> None:
        raise RuntimeError("a broken installation")

    monkeypatch.setattr(edges, "_CLASSES", {})
    monkeypatch.setattr(bentoml_objects, "load_bentoml", break_down)

    assert type(catch(StorageError)) is StorageError


def test_an_error_that_is_not_airgaps_passes() -> None:
    @edge
    def divide(number: int) -> float:
        return 1 / number

    with pytest.raises(ZeroDivisionError):
        divide(0)


def test_nothing_imports_bentoml_until_an_error_leaves() -> None:
    program = """
import sys
import airgap
try:
    airgap.inspect("/nonexistent.airgap")
except airgap.AirgapError as error:
    caught = error
    print("bentoml.exceptions" in sys.modules, "bentoml.bentos" in sys.modules)
from bentoml.exceptions import BentoMLException
print(isinstance(caught, BentoMLException))
print(airgap.exceptions.BentoMLException is BentoMLException)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )

    assert ran.stdout.split() == ["True", "False", "True", "True"]
