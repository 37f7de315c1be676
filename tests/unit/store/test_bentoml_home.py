"""What BentoML's own files say."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, CorruptError, StorageError
from airgap.state.state_folder import state_folder
from airgap.store import bentoml_home
from airgap.store.item_kind import Description, Reference
from airgap.store.kinds import find_kind
from tests.support import stores
from tests.support.sides import Side

NAMED = "name: shop\nversion: v1\nservice: service:Main\n"
HEAD = NAMED + "creation_time: '2026-01-02T03:04:05+00:00'\n"
HF = "- tag: org--mini:abc\n  registry: huggingface\n"


def described(folder: Path, text: str) -> Description:
    folder.mkdir(exist_ok=True)
    (folder / "bento.yaml").write_text(text)
    return find_kind("bento").describe(folder)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("/b", "/b"),
        (None, "/home/somebody/bentoml"),
        ("~/b", "/home/somebody/b"),
        ("$DISK/b", "/disk/b"),
        ("${HERE}/b", "/disk/x/b"),
        ("$DISK/~", "/disk/~"),
        ("$TILDE/b", "/home/somebody/b"),
        ("$NOT_SET/b", f"{Path.cwd()}/$NOT_SET/b"),
        ("~no-such-user/b", f"{Path.cwd()}/~no-such-user/b"),
        ("", str(Path.cwd())),
    ],
)
@pytest.mark.bentoml
def test_home_is_where_bentoml_has_it(
    variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bentoml._internal.configuration import expand_env_var

    settings = {"HOME": "/home/somebody", "DISK": "/disk", "HERE": "$DISK/x", "TILDE": "~"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("BENTOML_HOME", variable)

    assert bentoml_home.home() == Path(expected)
    oracle = expand_env_var(os.environ.get("BENTOML_HOME", "/home/somebody/bentoml"))
    assert Path(oracle).absolute() == Path(expected)


@pytest.mark.parametrize("value", ["$V/x", "$V$V"])
@pytest.mark.parametrize("variable", ["BENTOML_HOME", "AIRGAP_HOME"])
def test_a_home_that_refers_to_itself_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value.replace("V", variable))

    with pytest.raises(ConfigurationError, match=f"{variable} refers to itself"):
        (bentoml_home.home if variable == "BENTOML_HOME" else state_folder)()


@pytest.mark.parametrize(
    "written",
    [
        "'2026-01-02T03:04:05+00:00'",
        "2026-01-02T03:04:05Z",
        "2026-01-02 03:04:05",
        "'2026-01-02T03:04:05'",
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(written: str, tmp_path: Path) -> None:
    found = described(tmp_path, f"{NAMED}creation_time: {written}\n")

    assert found.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.has_zone == (written[-2:] in ("0'", "5Z"))
    assert found.created_at == 1767323045


def test_a_time_before_1970_counts_as_1970(tmp_path: Path) -> None:
    found = described(tmp_path, f"{NAMED}creation_time: '1930-01-01T00:00:00+00:00'\n")

    assert found.created_at == 0


def test_a_version_that_looks_like_a_number_is_a_text_only_in_quotes(tmp_path: Path) -> None:
    found = described(tmp_path, HEAD.replace("v1", "'20260102'"))
    assert found.version == "20260102"

    with pytest.raises(CorruptError, match=r"malformed: version is not a string\."):
        described(tmp_path, HEAD.replace("v1", "20260102"))


def test_a_model_that_is_named_twice_is_one(tmp_path: Path) -> None:
    models = "models:\n- tag: m:v1\n  alias: a\n"
    services = "services:\n- {name: A, service: '', models: [{tag: 'm:v1'}]}\n"
    services += "- {name: B, service: '', models: []}\n"

    assert described(tmp_path, HEAD + models + services).models == (Reference("model", "m", "v1"),)


def test_a_bento_may_name_no_models_at_all(tmp_path: Path) -> None:
    assert described(tmp_path, f"{HEAD}models: []\nservices: []\n").models == ()

    with pytest.raises(CorruptError, match=r"malformed: models is not a list\."):
        described(tmp_path, f"{HEAD}models: null\n")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("", ("org--mini", "abc", None, None)),
        ("{model_id: Org/Mini, revision: c0ffee}", ("org--mini", "c0ffee", None, None)),
        ("{include: ['*.json'], exclude: x}", ("org--mini", "abc", ("*.json",), ("x",))),
    ],
)
def test_a_snapshot_is_named_by_repository_and_commit(
    metadata: str, expected: tuple[object, ...], tmp_path: Path
) -> None:
    text = f"{HEAD}models:\n{HF}" + (f"  metadata: {metadata}\n" if metadata else "")

    (found,) = described(tmp_path, text).models

    assert (found.kind, found.name, found.version, found.include, found.exclude) == (
        "hugging-face",
        *expected,
    )


def test_a_bento_without_its_description_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"bento\.yaml cannot be read"):
        find_kind("bento").describe(tmp_path)


def test_yaml_makes_nothing_but_data(tmp_path: Path) -> None:
    bomb = "!!python/object/apply:os.system ['touch pwned']"

    with pytest.raises(Exception, match="malformed"):
        described(tmp_path, f"{HEAD}labels: {bomb}\n")


def test_tags_are_listed_sorted_and_without_what_is_no_item(connected: Side) -> None:
    for tag in ("shop:v2", "shop:v10", "desk:v1"):
        stores.add_bento(connected, tag, {})
    (connected.bentoml / "bentos" / "shop" / "half").mkdir()
    (connected.bentoml / "bentos" / "file").touch()

    with connected.here():
        assert list(find_kind("bento").list_tags()) == [
            ("desk", "v1"),
            ("shop", "v10"),
            ("shop", "v2"),
        ]
        assert list(find_kind("model").list_tags()) == []
