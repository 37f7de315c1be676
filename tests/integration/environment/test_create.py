"""An environment is made from an imported wheelhouse, without a network, and is run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import ConfigurationError, ConflictError, MissingError, UsageError
from airgap.flow.environment import create
from airgap.flow.environment.build import build
from tests.support import closure_items, environments, forge, refusals, stores
from tests.support.forge import Forge, Item
from tests.support.sides import Side, Site

OFFLINE = environments.without_network()
OLD = "cp39-manylinux_2_17_x86_64"


def encodings(content: bytes = b"tokens", variable: str = "TIKTOKEN_CACHE_DIR") -> Item:
    return closure_items.files({"content/9b5ad716": content}, variable=variable)


def test_it_is_made_listed_run_and_removed(
    isolated: Side,
    tmp_path: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forged = Forge(tmp_path, forge.load_signer(site.key()))
    house, data = environments.wheelhouse(pip=environments.pip_wheel()), encodings()
    draft = forge.draft(data, house, environments.bento(), reader=2)
    imported = isolated.run("import", forged.depot(draft), "--json").json
    folder = isolated.bentoml / "environments/shop/v1"

    made = isolated.process("env", "create", "shop", "--json", prefix=OFFLINE)

    assert made.returncode == 0, made.stderr
    about = json.loads(made.stdout)
    assert about["path"] == str(folder)
    assert about["bundle"] == imported["bundle"]
    assert about["files"] == [f"encodings:{data.version}"]
    assert about["wheelhouse"] == f"{house.name}:{house.version}"
    assert [path.name for path in folder.glob(".airgap*")] == []
    assert isolated.run("env", "create", "shop:v1", "--json").json["outcome"] == "unchanged"
    (listed,) = isolated.run("env", "list", "--json").json["environments"]
    assert (listed["bento"], listed["state"]) == ("shop:v1", "complete")
    assert isolated.run("doctor").code == 0

    expect_offline_start(isolated, folder, data, monkeypatch)

    removed = isolated.run("env", "remove", "shop", "--json")
    assert removed.json == {"removed": str(folder)}
    assert not (isolated.bentoml / "environments").exists()


def expect_offline_start(
    isolated: Side, folder: Path, data: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the environment's program say how it was started."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)  # main has set it in this process
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    ran = isolated.process("env", "run", "shop", "--", "serve", "--port", "3001")
    assert ran.returncode == 7, ran.stderr
    started = json.loads(ran.stdout)
    assert started["arguments"] == ["serve", "shop:v1", "--port", "3001"]
    assert started["prefix"] == str(folder)
    assert "/nowhere" not in started["path"]
    variables = started["environ"]
    content = isolated.bentoml / "files/encodings" / data.version / "content"
    assert variables["TIKTOKEN_CACHE_DIR"] == str(content)
    assert variables["HF_HUB_OFFLINE"] == variables["TRANSFORMERS_OFFLINE"] == "1"
    assert variables["PATH"].startswith(f"{folder}/bin:")
    assert not {"PYTHONPATH", "OPENBLAS_NUM_THREADS"} & variables.keys()


def test_a_wheelhouse_for_another_python_is_named_with_those_that_are_here(
    isolated: Side, tmp_path: Path
) -> None:
    environments.install(isolated, environments.bento())
    environments.install(isolated, environments.wheelhouse(target=OLD))
    own = f"{sys.version_info.major}.{sys.version_info.minor}"

    with environments.only_on_path(tmp_path / "path", "python3"):
        ran = refusals.expect_refusal(isolated, "env", "create", "shop", error=MissingError)

    error = ran.json["error"]
    assert error["message"] == (
        f"The wheelhouse of shop:v1 is for Python 3.9; this host has {own}."
    )
    assert "--python" in error["hint"]
    assert f"--target cp{own.replace('.', '')}-" in error["hint"]
    assert OLD in error["details"][0]


def test_a_bento_without_a_wheelhouse_is_refused_with_those_that_are_here(shop: Side) -> None:
    environments.install(shop, environments.bento(b"other==2.0\n", tag="other:v1"))

    ran = refusals.expect_refusal(shop, "env", "create", "other", error=MissingError)

    error = ran.json["error"]
    assert "no wheelhouse for the Bento other:v1" in error["message"]
    assert "--with-env" in error["hint"]
    assert environments.host_target() in error["details"][0]


def test_an_interpreter_that_a_person_names_must_fit(shop: Side, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho nothing\n")
    program.chmod(0o755)

    ran = refusals.expect_refusal(
        shop, "env", "create", "shop", "--python", program, error=UsageError
    )

    assert "not a Python 3" in ran.json["error"]["message"]


def test_of_two_wheelhouses_that_fit_one_is_named(shop: Side) -> None:
    wheels = dict(
        [closure_items.wheel("tiny", "1.0", more="X = 1\n"), environments.bentoml_wheel()]
    )
    other = environments.wheelhouse(wheels)
    environments.install(shop, other)

    ran = refusals.expect_refusal(shop, "env", "create", "shop", error=UsageError)
    folder = shop.top / "chosen"
    made = shop.run(
        *("env", "create", "shop", folder, "--wheelhouse", f"{other.name}:{other.version}"),
        *("--python", sys.executable, "--json"),
    )

    assert f"--wheelhouse {other.name}:{other.version}" in ran.json["error"]["hint"]
    assert made.code == 0, made.err
    assert made.json["wheelhouse"] == f"{other.name}:{other.version}"
    assert made.json["bundle"] is None
    assert list(folder.glob("lib/*/site-packages/more.py"))
    (listed,) = shop.run("env", "list", folder, "--json").json["environments"]
    assert listed["path"] == str(folder)


def test_the_user_of_a_service_can_read_it_whatever_the_umask_is(shop: Side) -> None:
    other = shop.top / "other"
    before = os.umask(0o077)
    try:
        assert shop.run("env", "create", "shop").code == 0
        assert shop.run("env", "create", "shop", other).code == 0
    finally:
        os.umask(before)

    for top in (shop.bentoml / "environments", other):
        paths = [top, *(path for path in top.rglob("*") if not path.is_symlink())]
        closed = [path for path in paths if path.stat().st_mode & 0o055 < 0o044]
        assert closed == []
        assert not any(path.stat().st_mode & 0o022 for path in paths)


def test_two_at_once_make_one(shop: Side) -> None:
    words = [sys.executable, "-m", "airgap", "env", "create", "shop", "--json"]
    environment = {**os.environ, **shop.environment}
    running = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]

    outputs = [process.communicate(timeout=120) for process in running]

    assert [process.returncode for process in running] == [0, 0], outputs
    outcomes = {json.loads(output)["outcome"] for output, _ in outputs}
    assert outcomes == {"created", "unchanged"}
    assert shop.run("doctor").code == 0


def test_variables_that_a_bento_needs_are_asked_for_before_it_starts(
    shop: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments.install(
        shop,
        environments.bento(
            more="envs:\n- name: SHOP_KEY\n- name: SHOP_MODE\n  value: fast\n"
            "- name: ONLY_BUILT\n  stage: build\n"
        ),
    )
    environments.pretend(shop.bentoml / "environments/shop/v1", bento="shop:v1")
    monkeypatch.delenv("SHOP_KEY", raising=False)

    ran = refusals.expect_refusal(shop, "env", "run", "shop", "--dry-run", error=ConfigurationError)
    told = shop.run("env", "run", "shop", "--dry-run", "--json", "--", "models", "list")
    monkeypatch.setenv("SHOP_KEY", "x")
    started = shop.run("env", "run", "shop", "--dry-run", "--json")

    assert "not set: SHOP_KEY." in ran.json["error"]["message"]
    assert told.json["command"][1:] == ["models", "list"]
    assert started.json["command"][1:] == ["serve", "shop:v1"]
    assert started.json["variables"]["BENTOML_DO_NOT_TRACK"] == "True"


def test_an_environment_that_runs_is_not_removed(shop: Side) -> None:
    folder = shop.bentoml / "environments/shop/v1"
    assert shop.run("env", "create", "shop").code == 0
    running = subprocess.Popen(
        [sys.executable, "-m", "airgap", "env", "run", "shop", "--", "wait"],
        env={**os.environ, **shop.environment},
        stdout=subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == b"started\n"
        before = stores.snapshot(folder)

        listed = shop.run("env", "list", "--json").json["environments"]
        refused = shop.run("env", "remove", "shop", "--json")

        assert listed[0]["state"] == "running"
        assert refused.code == 14
        assert "still runs" in refused.json["error"]["message"]
        assert stores.snapshot(folder) == before
    finally:
        running.terminate()
        assert running.wait(timeout=30) == -15
        running.communicate(timeout=60)
    assert shop.run("env", "remove", "shop").code == 0


def test_two_folders_for_one_variable_are_refused(shop: Side) -> None:
    first, second = encodings(), encodings(b"others")
    for item, name in ((first, "encodings"), (second, "encodings")):
        environments.install(shop, item)
        assert item.name == name
    tags = [f"{item.name}:{item.version}" for item in (first, second)]
    same_variable = closure_items.files(
        {"content/a": b""}, name="more", variable="TIKTOKEN_CACHE_DIR"
    )
    environments.install(shop, same_variable)
    more = f"more:{same_variable.version}"

    words = ("env", "create", "shop", "--files")
    refused = refusals.expect_refusal(shop, *words, tags[0], "--files", more, error=ConflictError)
    refusals.expect_refusal(shop, *words, "absent:v1", error=MissingError)

    assert "TIKTOKEN_CACHE_DIR" in refused.json["error"]["message"]


def test_the_doctor_says_what_an_environment_lacks(shop: Side) -> None:
    folder = shop.bentoml / "environments/shop/v1"
    environments.pretend(folder, "shop:v1", ["encodings:v1"])

    found = shop.run("doctor", "--json").json["findings"]
    (folder / "bin/python").symlink_to(sys.executable)
    later = shop.run("doctor", "--json").json["findings"]

    told = [(one["level"], one["message"]) for one in found if one["about"] == "environments"]
    assert [level for level, _ in told] == ["problem", "note"]
    assert "Python of the environment" in told[0][1]
    assert "files encodings:v1" in told[1][1]
    assert [one["level"] for one in later if one["about"] == "environments"] == ["note"]


def test_its_wheelhouse_and_files_cannot_be_removed_while_it_is_made(
    shop: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments.install(shop, encodings())
    (wheelhouse,) = shop.bentoml.glob("wheelhouses/*/*")
    (files,) = shop.bentoml.glob("files/encodings/*")
    ran = []

    def remove_first(*arguments: Any) -> None:  # noqa: ANN401
        for kind, folder in (("wheelhouse", wheelhouse), ("files", files)):
            tag = f"{folder.parent.name}:{folder.name}"
            ran.append(shop.run("remove", tag, "--kind", kind, "--yes").err)
        build(*arguments)

    monkeypatch.setattr(create, "build", remove_first)
    tag = f"encodings:{files.name}"

    assert shop.run("env", "create", "shop", "--files", tag).code == 0
    assert all("an environment that is being made" in error for error in ran)
    assert wheelhouse.is_dir()
    assert files.is_dir()


def test_a_wheelhouse_that_is_removed_before_leaves_no_environment(
    shop: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wheelhouse,) = shop.bentoml.glob("wheelhouses/*/*")
    empty = create.empty

    def remove(folder: Path) -> None:
        if wheelhouse.exists():
            tag = f"{wheelhouse.parent.name}:{wheelhouse.name}"
            assert shop.run("remove", tag, "--force", "--yes").code == 0
        empty(folder)

    monkeypatch.setattr(create, "empty", remove)
    ran = shop.run("env", "create", "shop")

    assert ran.code == MissingError.exit_code
    assert f"{wheelhouse} was removed meanwhile" in ran.err
    assert not (shop.bentoml / "environments").exists()
