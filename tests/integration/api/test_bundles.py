"""The Python API: the shape of BentoML's own, with signatures."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import airgap
from airgap.errors import (
    ConfigurationError,
    ConflictError,
    MissingError,
    NotTrustedError,
    PolicyError,
    TransportError,
    UsageError,
)
from airgap.store import bentoml_objects
from tests.servers import ftp
from tests.support import sides, stores
from tests.support.sides import Side, Site
from tests.support.stock_shop import make_shop, tree


class Tag:
    """Looks like BentoML's Tag: it has a name and a version, and its text counts."""

    name, version = "shop", "v1"

    def __str__(self) -> str:
        return "shop:v1"


@pytest.fixture
def shop(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    """Be on the connected side, which holds ``shop:v1`` and has a key."""
    side = Side(tmp_path / "stores")
    make_shop(side)
    monkeypatch.setenv("AIRGAP_KEY", str(site.key()))
    with side.here():
        yield side


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return tags where the real BentoML would return its objects."""
    monkeypatch.setattr(bentoml_objects, "get_bento", lambda tag: f"Bento {tag}")
    monkeypatch.setattr(bentoml_objects, "get_model", lambda tag: f"Model {tag}")


@pytest.mark.parametrize(
    ("path", "output_format", "made"),
    [
        ("there", None, "there/shop-v1.airgap"),
        ("new/", None, "new/shop-v1.airgap"),
        ("shop", None, "shop.airgap"),
        ("shop-1.2", None, "shop-1.2.airgap"),
        ("shop.airgap", None, "shop.airgap"),
        ("shop", "airgap", "shop.airgap"),
        ("depot", "depot", "depot"),
        ("there", "depot", "there"),
        ("shop.bento", None, "shop.bento"),
        ("shop.tar.gz", None, "shop.tar.gz"),
        ("shop.zip", None, "shop.zip"),
        ("shop", "bento", "shop.bento"),
        ("there", "tar", "there/shop-v1.tar"),
        ("there", "gz", "there/shop-v1.gz"),
        ("shop.any", "xz", "shop.any"),
        ("folder", "folder", "folder"),
    ],
)
@pytest.mark.usefixtures("returned")
def test_a_bento_goes_where_bentoml_would_put_it_and_comes_back(
    path: str, output_format: str | None, made: str, shop: Side, isolated: Side, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()

    where = airgap.export_bento(Tag(), f"{tmp_path}/{path}", output_format)
    with isolated.here():
        found = airgap.import_bento(where, output_format)

    assert where == f"{tmp_path}/{made}"
    assert str(found) == "Bento shop:v1"
    bento = Path("bentos", "shop", "v1")
    assert tree(isolated.bentoml / bento) == tree(shop.bentoml / bento)


@pytest.mark.usefixtures("returned", "shop")
def test_a_model_comes_back(isolated: Side, tmp_path: Path) -> None:
    where = airgap.export_model("ranker", tmp_path)
    with isolated.here():
        found = airgap.import_model(where)

    assert where == f"{tmp_path}/ranker-v1.airgap"
    assert str(found) == "Model ranker:v1"


@pytest.mark.bentoml
@pytest.mark.usefixtures("shop")
def test_the_real_objects_are_returned(site: Site, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path)
    model = airgap.export_model("ranker:v1", f"{tmp_path}/ranker.bentomodel")
    side = Side(tmp_path / "isolated")
    side.top.mkdir()
    sides.trust(side, site)
    program = f"""
import airgap, bentoml
bento = airgap.import_bento({where!r})
assert isinstance(bento, bentoml.Bento) and str(bento.tag) == "shop:v1", bento
model = airgap.import_model({model!r})
assert isinstance(model, bentoml.Model) and str(model.tag) == "ranker:v1", model
assert airgap.export_bento(bento.tag, {str(tmp_path / "again")!r}, key={str(site.key())!r})
"""
    ran = run_python(program, side)

    assert ran.returncode == 0, ran.stderr


@pytest.mark.bentoml
@pytest.mark.usefixtures("shop")
def test_a_bentoml_that_looks_elsewhere_is_told(site: Site, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path, with_models=False)
    side = Side(tmp_path / "isolated")
    side.top.mkdir()
    sides.trust(side, site)
    program = f"""
import bentoml, os, airgap
bentoml.list()
os.environ["BENTOML_HOME"] = {str(tmp_path / "moved")!r}
try:
    airgap.import_bento({where!r})
except airgap.errors.ConfigurationError as error:
    print(error.hint)
"""

    ran = run_python(program, side)

    assert "Set BENTOML_HOME before" in ran.stdout, ran.stderr


def run_python(program: str, side: Side) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(sides.REPOSITORY), **side.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_importing_airgap_imports_nothing_heavy(connected: Side) -> None:
    ran = run_python("import airgap, sys; print(*sys.modules)", connected)

    heavy = {"bentoml", "numpy", "cryptography", "yaml", "click", "msgpack", "airgap.flow"}
    assert heavy.isdisjoint(ran.stdout.split())


def test_importing_a_bundle_does_not_need_numpy(shop: Side, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path)
    program = f"import airgap, sys; airgap.inspect({where!r}); print(*sys.modules)"

    ran = run_python(program, shop)

    assert ran.returncode == 0, ran.stderr
    assert {"bentoml", "numpy"}.isdisjoint(ran.stdout.split())


def test_every_name_of_the_api_is_there() -> None:
    assert set(airgap.__all__) <= set(dir(airgap))
    assert all(getattr(airgap, name) for name in airgap.__all__)
    for module in (airgap, airgap.bentos, airgap.models):
        with pytest.raises(AttributeError, match="nothing"):
            getattr(module, "nothing")  # noqa: B009  (a type checker would refuse it)


def test_a_function_is_called_as_it_is_named() -> None:
    with pytest.raises(TypeError, match=r"^list\(\): tag must be bentoml.Tag or str or None"):
        airgap.list(42)  # type: ignore[call-overload]


@pytest.mark.usefixtures("shop")
def test_verify_and_inspect_tell_what_the_commands_print(isolated: Side, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path / "shop.tar")

    with isolated.here():
        about = airgap.verify(where)

    assert about["verified"] is True
    assert about["signed_by"]
    seen = airgap.inspect(Path(where), files=True)
    assert seen["verified"] is False
    assert seen["bundle"] == about["bundle"]
    assert seen["items"][0]["entries"]


@pytest.mark.usefixtures("shop", "returned")
def test_numbers_channels_and_waivers_are_those_of_the_command_line(
    isolated: Side, tmp_path: Path
) -> None:
    terms: dict[str, Any] = {"channel": "nightly", "audience": ["ward"]}
    old = airgap.export_model("ranker:v1", tmp_path / "old", **terms)
    new = airgap.export_model("ranker:v1", tmp_path / "new", **terms, expires_at=4_000_000_000)

    with isolated.here():
        airgap.import_model(new, channel="nightly")
        assert airgap.verify(new)["last_sequence"] == 2
        with pytest.raises(PolicyError):
            airgap.verify(old)
        with pytest.raises(PolicyError):
            airgap.import_model(new, channel="weekly")
        waiver = tmp_path / "none.waiver"
        with pytest.raises(ConfigurationError):
            airgap.import_model(old, waivers=[waiver])


@pytest.mark.usefixtures("shop")
def test_models_are_left_out_on_request(tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path, with_models=False, channel="ward", sequence=3)

    about = airgap.inspect(where)

    assert [item["kind"] for item in about["items"]] == ["bento"]
    assert (about["channel"], about["sequence"]) == ("ward", 3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "scp://host/shop.airgap"},
        {"path": "host", "protocol": "dav", "subpath": "shop.airgap"},
        {"path": "host", "protocol": "mem", "user": "me", "passwd": "hunter2", "subpath": "a"},
    ],
)
def test_what_nothing_carries_is_refused(arguments: dict[str, Any], shop: Side, site: Site) -> None:
    sides.trust(shop, site)
    for carry in (airgap.import_bento, partial(airgap.export_bento, "shop:v1")):
        with pytest.raises(TransportError, match="is not supported") as told:
            carry(**arguments)
        assert "hunter2" not in f"{told.value}{told.value.hint}"


def test_a_folder_for_bentoml_stays_local(shop: Side, site: Site) -> None:
    sides.trust(shop, site)
    with pytest.raises(UsageError, match="is local"):
        airgap.export_bento("shop:v1", "sftp://host/shop", "folder")
    with pytest.raises(UsageError, match="is local"):
        airgap.import_bento("sftp://host/shop", "folder")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what bentoml imports
def test_a_bento_travels_by_a_server(
    shop: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides.trust(shop, site)
    with ftp.serve("pyftpdlib", "explicit") as server:
        address = f"127.0.0.1:{server.port}"
        login: dict[str, Any] = {"user": server.user, "passwd": server.password}
        login["params"] = {"ca": str(server.authority.file)}

        where = airgap.export_bento(
            "shop:v1", address, protocol="ftpes", subpath="/below/", **login
        )
        depot = airgap.export_bento("shop:v1", f"ftpes://{address}/depot", "depot", **login)
        plain = airgap.export_bento("shop:v1", f"ftpes://{address}/x?timeout=9", **login)

        assert where == f"ftpes://{address}/below/shop-v1.airgap"
        assert depot == f"ftpes://{address}/depot"
        assert plain == f"ftpes://{address}/x.airgap"
        assert sorted(path.name for path in server.home.iterdir()) == ["below", "depot", "x.airgap"]
        monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "elsewhere"))
        for location in (where, depot, plain):
            assert (
                airgap.inspect(location, **login)["bundle"]
                == airgap.verify(location, **login)["bundle"]
            )
            assert str(airgap.import_bento(location, **login).tag) == "shop:v1"


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "shop.bento", "user": "me"},
        {"path": "ftp://host/shop.airgap", "protocol": "ftp"},
        {"path": "ftp://host", "subpath": "shop.airgap"},
        {"path": "shop.bento", "input_format": "rar"},
    ],
)
@pytest.mark.usefixtures("shop")
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        airgap.import_bento(**arguments)


@pytest.mark.usefixtures("shop")
def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rar"):
        airgap.export_bento("shop:v1", tmp_path, "rar")


@pytest.mark.parametrize("protocol", ["file", "osfs"])
@pytest.mark.usefixtures("shop")
def test_local_protocols_are_understood(protocol: str, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path, protocol=protocol, subpath="below.airgap")
    again = airgap.export_bento("shop:v1", f"{protocol}://{tmp_path}/url.airgap")

    assert (where, again) == (f"{tmp_path}/below.airgap", f"{tmp_path}/url.airgap")
    assert Path(where).read_bytes() == Path(again).read_bytes()


def test_the_key_comes_from_the_config_file(
    shop: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRGAP_KEY")
    with pytest.raises(ConfigurationError, match="no key"):
        airgap.export_bento("shop:v1", tmp_path)
    stores.write_files(shop.state, {"config.toml": f"key = '{site.key()}'\n".encode()})

    assert airgap.export_bento("shop:v1", tmp_path)


def test_a_passphrase_opens_the_key(shop: Side, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRGAP_PASSPHRASE", "open sesame")
        assert shop.run("key", "generate", "locked", "--dir", tmp_path).code == 0
    key = tmp_path / "locked.key"

    with pytest.raises(ConfigurationError, match="encrypted"):
        airgap.export_bento("shop:v1", tmp_path, key=key)
    assert airgap.export_bento("shop:v1", tmp_path, key=key, passphrase="open sesame")  # noqa: S106


@pytest.mark.usefixtures("shop")
def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="absent"):
        airgap.export_bento("absent", tmp_path)


@pytest.mark.usefixtures("returned", "shop")
def test_a_conflict_is_raised_and_replace_solves_it(isolated: Side, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path)
    stores.add_model(isolated, "ranker:v1", {"weights.bin": b"other"})

    with isolated.here():
        with pytest.raises(ConflictError):
            airgap.import_bento(where)
        assert str(airgap.import_bento(where, replace=True)) == "Bento shop:v1"


@pytest.mark.usefixtures("shop")
def test_a_bento_is_no_model(isolated: Side, tmp_path: Path) -> None:
    where = airgap.export_bento("shop:v1", tmp_path)
    before = stores.snapshot(isolated.top)

    with isolated.here(), pytest.raises(UsageError, match="exactly one model"):
        airgap.import_model(where)

    assert stores.snapshot(isolated.top) == before


@pytest.mark.usefixtures("returned", "shop")
def test_an_unsigned_archive_is_taken_with_a_warning_only(isolated: Side, tmp_path: Path) -> None:
    signed = airgap.export_model("ranker", tmp_path / "signed.tar")
    made = str(Path(signed).rename(tmp_path / "unsigned.tar"))
    before = stores.snapshot(isolated.top)

    with isolated.here():
        with pytest.raises(NotTrustedError):
            airgap.import_model(made)
        with pytest.warns(UserWarning, match="NOT SIGNED"), pytest.raises(UsageError):
            airgap.import_bento(made, insecure_allow_unsigned=True)
        assert stores.snapshot(isolated.top) == before
        with pytest.warns(UserWarning, match="NOT SIGNED"):
            found = airgap.import_model(made, insecure_allow_unsigned=True)
    assert str(found) == "Model ranker:v1"


@pytest.mark.usefixtures("shop")
def test_without_bentoml_nothing_is_imported(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = airgap.export_bento("shop:v1", tmp_path)
    before = stores.snapshot(isolated.top)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with isolated.here(), pytest.raises(ConfigurationError, match="not installed"):
        airgap.import_bento(where)

    assert stores.snapshot(isolated.top) == before
