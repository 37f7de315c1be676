"""Where the cache is, and which files of a snapshot a Bento takes."""

import importlib.util
import runpy
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.store import hugging_face
from airgap.store.item_kind import Reference

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
VARIABLES = (
    "BENTOML_HF_CACHE_DIR",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HOME",
    "XDG_CACHE_HOME",
)
PATHS = (
    "config.json",
    "1_Pooling/config.json",
    "onnx/model.onnx",
    "model.safetensors",
    "README.md",
    "Readme.MD",
    "a b.txt",
    "x/[1].bin",
)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")


@pytest.mark.bentoml
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "/home/somebody/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/hub"),
        ({"HF_HOME": "~/h"}, "/home/somebody/h/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/h"}, "/old"),
        ({"HF_HUB_CACHE": "/new", "HUGGINGFACE_HUB_CACHE": "/old"}, "/new"),
        ({"BENTOML_HF_CACHE_DIR": "/b", "HF_HUB_CACHE": "/new"}, "/b"),
        ({"BENTOML_HF_CACHE_DIR": "~/b", "HF_HUB_CACHE": "/new"}, "/home/somebody/b"),
        ({"HF_HUB_CACHE": "$DISK/c"}, "/disk/c"),
        ({"HF_HUB_CACHE": "${DISK}/~"}, "/disk/~"),
        ({"HUGGINGFACE_HUB_CACHE": "~/$DISK"}, "/home/somebody//disk"),
        ({"HF_HOME": "$DISK"}, "/disk/hub"),
        ({"XDG_CACHE_HOME": "~/$DISK"}, "/home/somebody/disk/huggingface/hub"),
        ({"HF_HOME": "$NOT_SET/h"}, f"{Path.cwd()}/$NOT_SET/h/hub"),
        ({"HF_HUB_CACHE": ""}, str(Path.cwd())),
    ],
)
def test_the_cache_is_where_bentoml_and_huggingface_hub_look(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISK", "/disk")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert hugging_face.cache() == Path(expected)
    if "BENTOML_HF_CACHE_DIR" not in variables:
        assert _ask_huggingface_hub() == Path(expected)


def _ask_huggingface_hub() -> Path:
    """Run huggingface_hub's own code once more, in these variables."""
    found = importlib.util.find_spec("huggingface_hub.constants")
    assert found
    assert found.origin
    return Path(runpy.run_path(found.origin)["HF_HUB_CACHE"]).expanduser().absolute()


def test_a_cache_in_the_home_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "~no-such-user/c")

    with pytest.raises(ConfigurationError, match="unknown user"):
        hugging_face.cache()


@pytest.mark.parametrize(
    ("include", "exclude"),
    [
        (None, None),
        (("*.json",), None),
        (("*.json", "*.md"), None),
        (None, ("*.onnx", "onnx/*")),
        (None, ("onnx/",)),
        (("onnx/",), None),
        (("*",), ("*.json",)),
        (("a b.*", "model.*"), ("*.bin",)),
        (("x/[[]1].bin",), None),
        (("?odel*",), None),
        (("[mc]*",), None),
        ((), None),
        (None, ()),
    ],
)
@pytest.mark.bentoml
def test_patterns_take_what_huggingface_hub_takes(
    include: tuple[str, ...] | None, exclude: tuple[str, ...] | None
) -> None:
    from huggingface_hub.utils._paths import filter_repo_objects

    reference = Reference("hugging-face", "org--mini", COMMIT, include, exclude)
    oracle = filter_repo_objects(
        PATHS,
        allow_patterns=None if include is None else list(include),
        ignore_patterns=None if exclude is None else list(exclude),
    )

    assert [path for path in PATHS if hugging_face._is_selected(reference, path)] == list(oracle)


def test_the_command_that_fetches_needs_no_cache_that_is_the_usual_one() -> None:
    reference = Reference("hugging-face", "org--mini", COMMIT)

    command = hugging_face._format_fetch_command("org/mini", reference)

    assert command == f"hf download org/mini --revision {COMMIT}"
