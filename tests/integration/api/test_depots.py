"""The Python API of depots: the shape of BentoML's own, and what it returns."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airgap
from airgap.cloud import BentoCloudClient
from airgap.errors import ConfigurationError, ConflictError, MissingError, UsageError
from airgap.store import bentoml_objects
from tests.support import stores
from tests.support.sides import Side, Site

_SAME_SHAPE = """
import inspect, airgap, bentoml

for ours, theirs in ((airgap, bentoml), (airgap.models, bentoml.models)):
    for name in ("push", "pull", "list", "get", "delete"):
        known = inspect.signature(getattr(ours, name)).parameters
        for one in inspect.signature(getattr(theirs, name)).parameters.values():
            if one.name.startswith("_") or one.name == "model_aliases":  # BentoML's own wiring
                continue
            assert known[one.name].default == one.default, (name, one)
            assert known[one.name].kind == one.kind, (name, one)
with_bentoml = airgap.list("shop"), airgap.models.list("ranker:v1")
assert [[str(one.tag) for one in found] for found in with_bentoml] == [["shop:v1"], ["ranker:v1"]]
assert str(airgap.get("shop").tag) == "shop:v1"
airgap.delete("shop:v1")
airgap.models.delete("ranker:v1")
assert airgap.list() == airgap.models.list() == []
"""


@pytest.fixture
def shop(
    small: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Side]:
    """Be on the connected side, with a key and a depot of the environment."""
    monkeypatch.setenv("AIRGAP_KEY", str(site.key()))
    monkeypatch.setenv("AIRGAP_DEPOT", str(tmp_path / "depot"))
    monkeypatch.setattr(bentoml_objects, "get_bento", lambda tag: f"Bento {tag}")
    monkeypatch.setattr(bentoml_objects, "get_model", lambda tag: f"Model {tag}")
    with small.here():
        yield small


@pytest.mark.bentoml
def test_the_functions_have_bentomls_arguments(small: Side) -> None:
    with small.here():
        done = subprocess.run(
            [sys.executable, "-c", _SAME_SHAPE],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    assert done.returncode == 0, done.stderr


def test_a_script_of_bentoml_works_with_a_depot(shop: Side, isolated: Side, tmp_path: Path) -> None:
    depot = tmp_path / "depot"

    bundle = airgap.push("shop:v1")
    model = airgap.models.push("ranker:v1")

    assert airgap.push("shop:v1") == bundle
    with isolated.here():
        assert str(airgap.pull("shop:latest")) == "Bento shop:v1"
        assert str(airgap.models.pull("ranker:v1")) == "Model ranker:v1"
        about = airgap.get("shop", depot)
        assert (about["bundle"], about["standing"]) == (bundle, "trusted")
    listed = [bundle["bundle"] for bundle in airgap.list(depot=depot)]
    assert sorted(listed) == sorted([bundle, model])
    assert str(airgap.get("shop")) == "Bento shop:v1"
    assert shop.bentoml.is_dir()


@pytest.mark.usefixtures("shop")
def test_what_is_pushed_has_the_labels(tmp_path: Path) -> None:
    labels = {"classification": "restricted", "project": "north"}

    bundles = [
        airgap.push("shop:v1", labels=labels),
        airgap.models.push("ranker:v1", labels=labels),
    ]

    for bundle in bundles:
        assert airgap.inspect(f"{tmp_path / 'depot'}#{bundle}")["labels"] == labels


def test_a_bento_is_deleted_from_a_depot(shop: Side, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    airgap.push("shop:v1")
    with pytest.raises(UsageError):
        airgap.delete("shop", depot)

    airgap.delete("shop:v1", depot)

    with pytest.raises(MissingError):
        airgap.list(depot=depot)
    assert (shop.bentoml / "bentos/shop/v1").is_dir()


def test_force_replaces_what_a_depot_and_a_store_have(shop: Side, isolated: Side) -> None:
    airgap.push("shop:v1")
    stores.add_bento(shop, "shop:v1", {"src/service.py": b"other"})
    with isolated.here():
        airgap.pull("shop:v1")

    with pytest.raises(ConflictError):
        airgap.push("shop:v1")
    airgap.push("shop:v1", force=True)

    with isolated.here():
        airgap.pull("shop:v1")
        service = isolated.bentoml / "bentos/shop/v1/src/service.py"
        assert service.read_bytes() != b"other"  # what is here is not asked for
        airgap.pull("shop:v1", force=True)
    assert service.read_bytes() == b"other"


def test_without_a_depot_there_is_nothing_to_push_to(
    shop: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRGAP_DEPOT")

    with pytest.raises(ConfigurationError, match="no depot"):
        airgap.push("shop:v1")

    assert not list(shop.top.glob("**/*.part"))


def test_the_cloud_client_returns_entries_and_bentoml_errors(shop: Side, isolated: Side) -> None:
    client = BentoCloudClient()

    bundle = client.bento.push("shop:v1", threads=1)
    client.model.push(_Stored())

    assert [entry.tag for entry in client.bento.list().items] == ["shop:v1"]
    assert client.model.list().total == 2  # one alone, one with the Bento
    assert client.bento.get("shop").bundle.get("bundle") == bundle
    with pytest.raises(MissingError, match="no model nothing"):
        client.model.get("nothing")
    with isolated.here():
        assert str(client.bento.pull("shop:v1", with_models=True)) == "Bento shop:v1"
        assert str(client.model.pull("ranker:v1")) == "Model ranker:v1"
        with pytest.raises(UsageError, match="installs into"):
            client.model.pull("ranker:v1", model_store=object())
    with pytest.raises(TypeError, match=r"BentoAPI.push\(\): bento must be Tagged or"):
        client.bento.push(42)  # type: ignore[arg-type]
    with pytest.raises(MissingError, match="no remote 'unknown'"):
        BentoCloudClient.for_context("unknown").bento.list()
    assert shop.bentoml.is_dir()


class _Tag:
    """Looks like BentoML's tag."""

    name, version = "ranker", "v1"

    def __str__(self) -> str:
        return "ranker:v1"


class _Stored:
    """Looks like BentoML's model."""

    tag = _Tag()


def test_models_of_this_machine(shop: Side, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    airgap.models.push("ranker:v1")

    assert str(airgap.models.get("ranker")) == "Model ranker:v1"
    assert airgap.models.get("ranker", depot)["items"][0]["tag"] == "ranker:v1"
    airgap.models.delete("ranker:v1", depot)
    with pytest.raises(MissingError):
        airgap.models.list(depot=depot)
    with pytest.raises(MissingError):
        airgap.models.delete("nothing:v1")
    assert shop.bentoml.is_dir()
