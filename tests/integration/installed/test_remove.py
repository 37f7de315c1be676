"""``airgap remove`` and ``prune``: what nothing here needs goes; items are whole or gone."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from airgap.disk import locks
from airgap.errors import ConflictError, MissingError
from airgap.store.in_use import hold_alone, is_in_use, keep_installed
from tests.support import environments, forge, store_invariants, stores, whole_shop
from tests.support.faults import Fault, Launcher
from tests.support.forge import Forge
from tests.support.sides import Side

KINDS = ("bentos", "models", "files", "wheelhouses", "images")


def items(side: Side) -> dict[str, store_invariants.Content]:
    """The content of every item, by its path."""
    found = [
        path for kind in KINDS for path in side.bentoml.glob(f"{kind}/*/*") if path.name != "latest"
    ]
    found += side.hugging_face.glob("models--*/snapshots/*")
    return {str(path.relative_to(side.top)): store_invariants.content(path) for path in found}


def tags(side: Side) -> set[str]:
    rows = side.run("list", "--json").json["items"]
    return {f"{row['kind']} {row['tag']}" for row in rows}


def all_of(version: str, model: str) -> set[str]:
    return {f"{kind} {tag}" for kind, tag in whole_shop.tags(version, model).items()}


@pytest.fixture
def used(isolated: Side, forged: Forge) -> Side:
    """A side with two versions of a Bento; the second has another model, and the same snapshot."""
    whole_shop.install(isolated, forged, "v1", "v1")
    whole_shop.install(isolated, forged, "v2", "v2")
    return isolated


def test_prune_keeps_the_newest_versions_and_all_that_they_need(used: Side) -> None:
    assert used.run("prune", "--yes").out == "removed 0 items, 0 B on disk.\n"
    planned = used.run("prune", "--keep", "1", "--dry-run", "--json").json
    assert tags(used) == all_of("v1", "v1") | all_of("v2", "v2")

    ran = used.run("prune", "--keep", "1", "--yes", "--json")

    assert ran.json == {**planned, "dry_run": False}
    assert tags(used) == all_of("v2", "v2")
    assert (used.bentoml / "bentos/shop/latest").read_text() == "v2"
    assert not list(used.bentoml.glob(".airgap/removed*"))
    assert used.run("check").code == 0
    assert used.run("doctor").code == 0


def test_prune_touches_nothing_that_airgap_did_not_import(used: Side) -> None:
    stores.add_bento(used, "shop:v0", {}, created="2020-01-01T00:00:00+00:00")
    stores.add_model(used, "mine:v1", {"w": b"w"})
    stores.add_snapshot(used, "other/model", "1" * 40, {"config.json": b"{}"})
    before = items(used)

    assert used.run("prune", "--keep", "1", "--standalone", "--yes").code == 0

    gone = before.keys() - items(used).keys()
    assert not [path for path in gone if "v0" in path or "mine" in path or "other" in path]
    assert len(gone) == 5


def test_what_came_without_a_bento_stays_unless_it_is_asked_for(
    isolated: Side, forged: Forge
) -> None:
    depot = forged.depot(forge.draft(forge.model({"w": b"w"}, "alone:v1")))
    assert isolated.run("import", depot).code == 0

    ran = isolated.run("prune", "--yes", "--json")
    assert (ran.json["removed"], [row["tag"] for row in ran.json["kept"]]) == ([], ["alone:v1"])

    assert isolated.run("prune", "--standalone", "--yes").code == 0
    assert tags(isolated) == set()
    assert not (isolated.bentoml / "models/alone").exists()


def test_the_version_that_latest_names_stays(used: Side) -> None:
    (used.bentoml / "bentos/shop/latest").write_text("v1")

    ran = used.run("prune", "--keep", "1", "--yes")

    assert "keeping bento shop:v1: `latest` names it" in ran.out
    assert tags(used) == all_of("v1", "v1") | all_of("v2", "v2")


def test_a_snapshot_with_files_of_other_programs_stays(used: Side) -> None:
    for version in ("v1", "v2"):
        assert used.run("remove", f"shop:{version}", "--kind", "bento", "--yes").code == 0
    snapshot = used.hugging_face / "models--acme--tiny/snapshots" / whole_shop.COMMIT
    (snapshot / "more.bin").write_bytes(b"more")

    ran = used.run("prune", "--yes")

    assert "it holds 'more.bin', which airgap did not import" in ran.out
    assert tags(used) == {f"hugging-face {whole_shop.SNAPSHOT}"}


def test_what_a_bento_needs_is_removed_only_with_force(used: Side) -> None:
    refused = used.run("remove", "ranker:v1", "--yes")
    assert refused.code == 14
    assert "model ranker:v1 is needed by bento shop:v1" in refused.err

    assert used.run("remove", "shop:v1", "ranker:v1", "--yes").code == 0  # both at once
    assert used.run("remove", "ranker:v2", "--force", "--yes").code == 0
    assert not (used.bentoml / "models/ranker").exists()
    assert used.run("check", "--json").code == 10


@pytest.mark.parametrize("kind", ["files", "wheelhouse", "image", "hugging-face"])
def test_each_kind_that_came_with_a_bento_is_needed_by_it(kind: str, used: Side) -> None:
    tag = whole_shop.tags()[kind]

    assert used.run("remove", tag, "--yes").code == 14
    assert used.run("remove", tag, "--force", "--yes").code == 0
    assert f"{kind} {tag}" not in tags(used)


def test_all_that_came_with_a_bento_that_cannot_be_read_is_kept(used: Side) -> None:
    (used.bentoml / "bentos/shop/v1/bento.yaml").write_bytes(b"\xff")

    ran = used.run("prune", "--keep", "1", "--yes", "--json")

    assert ran.json["removed"] == []
    assert ran.json["kept"][0]["tag"] == "shop:v1"


def test_an_item_that_airgap_did_not_import_is_removed_by_name(used: Side) -> None:
    stores.add_model(used, "mine:v1", {"w": b"w"})

    ran = used.run("remove", "mine:v1", "--yes")

    assert "removed model mine:v1" in ran.out
    assert "not imported by airgap" in ran.out
    assert "model mine:v1" not in tags(used)


def test_latest_names_the_newest_of_the_rest(used: Side) -> None:
    stores.add_model(used, "ranker:v0", {}, created="2020-01-01T00:00:00+00:00")
    stores.add_model(used, "ranker:v3", {}, created="2030-01-01T00:00:00+00:00")
    latest = used.bentoml / "models/ranker/latest"

    for version, rest in (("v3", "v2"), ("v0", "v2")):
        assert used.run("remove", f"ranker:{version}", "--yes").code == 0
        assert latest.read_text() == rest


def test_environments_of_what_is_removed_are_named(used: Side) -> None:
    folder = used.bentoml / "environments/shop/v1"
    environments.pretend(folder, "shop:v1", files=[whole_shop.tags()["files"]])

    ran = used.run("prune", "--keep", "1", "--yes")

    assert f"The environment {folder} of bento shop:v1 stays" in ran.out
    assert f"files {whole_shop.tags()['files']}" in tags(used)  # the environment names it
    assert "bento shop:v1" not in tags(used)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["shop"], 2),
        (["shop:v1"], 2),  # nobody can be asked
        (["nothing:v1", "--yes"], 13),
        (["shop:v1", "--kind", "model", "--yes"], 13),
        (["shop:v1", "--kind", "thing", "--yes"], 2),
    ],
)
def test_what_cannot_be_removed_is_refused(words: list[str], code: int, used: Side) -> None:
    before = stores.snapshot(used.bentoml)

    assert used.run("remove", *words).code == code
    assert stores.snapshot(used.bentoml) == before


def test_a_plan_that_is_not_the_same_under_the_lock_is_not_carried_out(
    used: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airgap.flow.installed import remove

    plans = iter([None])
    plan_prune = remove.plan_prune

    def plan_otherwise(keep: int | None, *, standalone: bool) -> remove.RemovalPlan:
        if next(plans, "again") == "again":
            stores.add_bento(used, "new:v1", {}, models=["ranker:v1"])
        return plan_prune(keep, standalone=standalone)

    monkeypatch.setattr(remove, "plan_prune", plan_otherwise)

    assert used.run("prune", "--keep", "1", "--yes").code == 14
    assert tags(used) >= all_of("v1", "v1")


def test_a_kill_before_any_step_leaves_items_whole_or_gone_and_a_rerun_finishes(
    used: Side, launcher: Launcher, tmp_path: Path
) -> None:
    before = items(used)
    words = ("prune", "--keep", "1", "--yes")
    done = store_invariants.copy(used, tmp_path / "done")
    assert done.run(*words).code == 0
    launcher.rehearse(store_invariants.copy(used, tmp_path / "rehearsal"), *words)
    step, ended = 0, None
    while ended is None or ended.killed:
        side = store_invariants.copy(used, tmp_path / "side")
        ended = launcher.run(side, *words, fault=Fault(at=step))
        expect_whole(side, before, ended.last)
        assert side.run(*words).code == 0, ended.last
        assert items(side) == items(done), ended.last
        assert set(stores.snapshot(side.bentoml)) == {
            path.replace(str(done.top), str(side.top)) for path in stores.snapshot(done.bentoml)
        }, ended.last
        shutil.rmtree(side.top)
        step += 1
    assert ended.code == 0, ended.err
    assert step > 20


def expect_whole(side: Side, before: dict[str, store_invariants.Content], moment: str) -> None:
    """Demand that what is there is as it was, that Bentos have their models, and a good list."""
    there = items(side)
    assert there.items() <= before.items(), f"an item is not whole after {moment}"
    for version in ("v1", "v2"):
        if f"bentoml/bentos/shop/{version}" in there:
            assert f"bentoml/models/ranker/{version}" in there, f"a model is gone after {moment}"
    for latest in side.bentoml.glob("*/*/latest"):
        assert (latest.parent / latest.read_text()).is_dir(), f"{latest} dangles after {moment}"


def test_doctor_names_a_removal_that_was_interrupted_and_the_same_command_finishes_it(
    used: Side, launcher: Launcher
) -> None:
    words = ("remove", "shop:v1", "--kind", "bento", "--yes")
    ended = launcher.run(used, *words, fault=Fault(before="^(unlink|rmdir) .*removed/items"))
    assert ended.killed, ended.err
    assert "bento shop:v1" not in tags(used)

    notes = [note["message"] for note in used.run("doctor", "--json").json["findings"]]
    assert any("The removal of the bento shop:v1 was interrupted" in note for note in notes)

    assert used.run(*words).code == 0
    assert not list(used.bentoml.glob(".airgap/removed*"))


@pytest.mark.parametrize("kind", ["bento", "model", "hugging-face", "wheelhouse"])
def test_a_removal_that_the_disk_refuses_changes_nothing(
    kind: str, used: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = whole_shop.tags("v2", "v2")[kind]
    before = stores.snapshot(used.bentoml, used.hugging_face)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if "removed" in target.parts:
            raise PermissionError(13, "Permission denied", str(target))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        ran = used.run("remove", tag, "--kind", kind, "--force", "--yes")

    assert ran.code == 15
    assert stores.snapshot(used.bentoml, used.hugging_face) == before
    assert used.run("remove", tag, "--kind", kind, "--force", "--yes").code == 0


def test_a_removal_whose_latest_cannot_be_written_changes_nothing(
    used: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stores.snapshot(used.bentoml, used.hugging_face)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("airgap.store.remove_item.durable.replace_file", refuse)
        assert used.run("remove", "bento", "shop:v2", "--yes").code in (2, 13)
        ran = used.run("remove", "shop:v2", "--kind", "bento", "--yes")

    assert ran.code == 15
    assert stores.snapshot(used.bentoml, used.hugging_face) == before


@pytest.mark.parametrize("kind", ["wheelhouse", "files"])
def test_what_an_environment_is_made_from_stays(kind: str, used: Side) -> None:
    stored = whole_shop.tags("v1", "v1")[kind]
    name, _, version = stored.partition(":")
    folder = used.bentoml / {"wheelhouse": "wheelhouses"}.get(kind, kind) / name / version
    assert used.run("remove", "shop:v1", "--kind", "bento", "--yes").code == 0
    with keep_installed([folder]):
        assert used.run("prune", "--yes").code == 0
        assert f"{kind} {stored}" in tags(used)
        ran = used.run("remove", stored, "--yes")
        assert ran.code == ConflictError.exit_code
        assert f"{kind} {stored} is needed by an environment that is being made" in ran.err

    assert used.run("prune", "--yes").code == 0
    assert f"{kind} {stored}" not in tags(used)


def test_an_environment_that_is_begun_under_the_lock_keeps_its_wheelhouse(
    used: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert used.run("remove", "shop:v1", "--kind", "bento", "--yes").code == 0
    (folder,) = (
        path
        for path in used.bentoml.glob("wheelhouses/*/*")
        if path.name in whole_shop.tags("v1", "v1")["wheelhouse"]
    )
    with ExitStack() as held:

        def begin(_store: Path) -> None:
            held.enter_context(keep_installed([folder]))

        monkeypatch.setattr("airgap.flow.installed.remove.finish_removals", begin)
        ran = used.run("remove", whole_shop.tags("v1", "v1")["wheelhouse"], "--yes")

    assert ran.code == ConflictError.exit_code
    assert "is in use: an environment is being made from it" in ran.err
    assert folder.is_dir()


def test_what_was_removed_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("airgap.store.in_use.time.sleep", pauses.append)
    with pytest.raises(MissingError), keep_installed([tmp_path / "absent"]):
        pass
    (tmp_path / "item").mkdir()
    with (
        hold_alone(tmp_path / "item"),
        pytest.raises(MissingError, match="removed meanwhile"),
        keep_installed([tmp_path / "item"]),
    ):
        pass
    assert len(pauses) == 100

    def move(_: float) -> None:
        (tmp_path / "item").rename(tmp_path / "away")
        held.close()

    monkeypatch.setattr("airgap.store.in_use.time.sleep", move)
    with ExitStack() as held:
        held.enter_context(hold_alone(tmp_path / "item"))
        with pytest.raises(MissingError), keep_installed([tmp_path / "item"]):
            pass


def test_what_another_removal_only_asks_about_is_not_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: list[int] = []

    def ask() -> None:
        asking.append(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY))
        assert locks.try_lock(asking[0])

    monkeypatch.setattr("airgap.store.in_use.time.sleep", lambda _: os.close(asking.pop()))
    ask()
    assert not is_in_use(tmp_path)
    ask()
    with hold_alone(tmp_path):
        assert not asking


def test_what_stays_in_use_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("airgap.store.in_use.time.sleep", pauses.append)

    with keep_installed([tmp_path]):
        assert is_in_use(tmp_path)
        with pytest.raises(ConflictError), hold_alone(tmp_path):
            pass

    assert sum(pauses) < 1


def test_where_there_are_no_locks_nothing_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "cannot be locked")

    monkeypatch.setattr("airgap.disk.locks._flock", refuse)

    with keep_installed([tmp_path]), hold_alone(tmp_path):
        assert not is_in_use(tmp_path)
