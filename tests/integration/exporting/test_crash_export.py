"""SIGKILL during an export: nothing incomplete has a final name, and a rerun finishes."""

import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from airgap.errors import StorageError
from tests.support import interruptions, store_invariants, stores
from tests.support.faults import Ended, Fault, Launcher
from tests.support.sides import Side, Site
from tests.support.store_invariants import Content


@dataclass(frozen=True)
class Outgoing:
    """An export into ``folder / name``, and what that folder holds in the end."""

    sender: Side
    site: Site
    folder: Path
    name: str
    after: Content
    packs: tuple[bytes, ...] = ()
    """Those of a single file."""

    def arguments(self, *tags: str) -> tuple[str | Path, ...]:
        tags = tags or ("shop:v1",)
        return ("export", *tags, "-o", self.folder / self.name, *self._options())

    def expect_nothing_incomplete(self, moment: str) -> None:
        """Demand that what has a final name is whole, and that a manifest has all it names."""
        there = store_invariants.content(self.folder)
        complete = {path: said for path, said in there.items() if not path.endswith(".part")}
        assert complete.items() <= self.after.items(), f"after {moment}"
        if any(path.endswith(("manifest.msgpack", ".airgap")) for path in complete):
            assert complete == self.after, f"after {moment}"

    def expect_finished(self, moment: str) -> None:
        """Export again, undisturbed: packs that are whole are used, and no part is left."""
        whole = self._list_whole_packs()
        ran = self.sender.run(*self.arguments(), "--json")
        assert ran.code == 0, f"after {moment}: {ran.err}"
        assert ran.json["packs_there"] == len(whole), f"after {moment}"
        assert ran.json["bytes_written"] == ran.json["stored_size"] - sum(whole), f"after {moment}"
        assert store_invariants.content(self.folder) == self.after, f"after {moment}"

    def _list_whole_packs(self) -> list[int]:
        """Return the sizes of the packs that are in the folder, or in the part of a file."""
        if self.name == "depot":
            return [path.stat().st_size for path in self.folder.rglob("*.pack")]
        left = b"".join(path.read_bytes() for path in self.folder.glob("*.part"))
        return [len(pack) for pack in self.packs if pack + bytes(-len(pack) % 512) in left]

    def clear(self) -> None:
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def _options(self) -> tuple[str | Path, ...]:
        return ("--key", self.site.key(), "--jobs", "1")


@pytest.fixture(params=["depot", "shop.airgap"])
def outgoing(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Outgoing:
    return _outgoing(request.param, site, tmp_path)


@pytest.fixture
def to_file(site: Site, tmp_path: Path) -> Outgoing:
    return _outgoing("shop.airgap", site, tmp_path)


@pytest.fixture
def to_depot(site: Site, tmp_path: Path) -> Outgoing:
    return _outgoing("depot", site, tmp_path)


def test_a_kill_before_any_write_step_leaves_nothing_incomplete_and_a_rerun_finishes(
    outgoing: Outgoing, launcher: Launcher
) -> None:
    step = 0
    while (ended := _broken(outgoing, launcher, Fault(at=step))).killed:
        outgoing.expect_nothing_incomplete(ended.last)
        outgoing.expect_finished(ended.last)
        step += 1

    assert ended.code == 0, ended.err
    assert len(ended.steps) == step > 5


def test_two_runs_that_are_killed_give_the_bytes_of_an_undisturbed_one(
    to_file: Outgoing, launcher: Launcher
) -> None:
    first = Fault(before=r"^rename .*\.airgap$")
    for step in count():
        assert _broken(to_file, launcher, first).killed
        second = launcher.run(to_file.sender, *to_file.arguments(), fault=Fault(at=step))
        to_file.expect_nothing_incomplete(second.last)
        if not second.killed:
            assert len(second.steps) == step > 5
            return
        to_file.expect_finished(second.last)


def test_a_file_of_something_else_begins_anew_and_says_so(
    to_file: Outgoing, launcher: Launcher
) -> None:
    broken = Fault(before=r"^rename .*\.airgap$")
    assert _broken(to_file, launcher, broken).killed
    stores.add_model(to_file.sender, "other:v1", {"x": b"x" * 900})

    ran = to_file.sender.run(*to_file.arguments("--model", "other:v1"), "--json")

    assert ran.code == 0
    assert "Going on with " in ran.err
    assert ".part is of something else: it is written anew." in ran.err
    assert (ran.json["packs_there"], ran.json["bytes_written"]) == (0, ran.json["stored_size"])
    assert [path.name for path in to_file.folder.iterdir()] == [to_file.name]


def test_a_full_disk_leaves_a_part_and_the_next_run_goes_on(
    to_file: Outgoing, launcher: Launcher
) -> None:
    to_file.clear()
    ended = launcher.run(to_file.sender, *to_file.arguments(), largest_file=700_000)
    assert ended.code == StorageError.exit_code
    assert [*to_file.folder.glob("*.part")]

    to_file.expect_finished("a full disk")


def test_a_copy_into_a_file_goes_on_too(to_file: Outgoing, launcher: Launcher) -> None:
    assert to_file.sender.run(*to_file.arguments()).code == 0
    source = to_file.sender.top / to_file.name
    (to_file.folder / to_file.name).rename(source)
    words = ("copy", source, to_file.folder / to_file.name)
    assert to_file.sender.run(*words).code == 0
    after = store_invariants.content(to_file.folder)
    to_file.clear()
    broken = Fault(before=r"^rename .*\.airgap$")
    assert launcher.run(to_file.sender, *words, fault=broken).killed

    ran = to_file.sender.run(*words, "--json")

    (copied,) = ran.json["bundles"]
    assert (copied["bytes_copied"], copied["packs_copied"], copied["packs_there"]) == (0, 0, 2)
    assert store_invariants.content(to_file.folder) == after


def test_a_pack_that_is_there_and_damaged_is_written_anew(to_depot: Outgoing) -> None:
    assert to_depot.sender.run(*to_depot.arguments()).code == 0
    damaged = max(to_depot.folder.rglob("*.pack"), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-1])

    ran = to_depot.sender.run(*to_depot.arguments(), "--json")

    assert (ran.json["packs_written"], ran.json["packs_there"]) == (1, 1)
    assert store_invariants.content(to_depot.folder) == to_depot.after


def test_an_export_of_something_else_removes_what_a_killed_one_left(
    to_depot: Outgoing, launcher: Launcher
) -> None:
    assert _broken(to_depot, launcher, Fault(before=r"^rename .*\.pack$")).killed
    assert [*to_depot.folder.rglob("*.part")]
    stores.add_model(to_depot.sender, "other:v1", {"x": b"x"})

    ran = to_depot.sender.run(*to_depot.arguments("--model", "other:v1"))

    assert ran.code == 0
    assert not [*to_depot.folder.rglob("*.part")]


def test_what_only_looks_like_an_abandoned_part_is_left_alone(to_depot: Outgoing) -> None:
    others = to_depot.folder / "depot" / "letter.part"
    others.parent.mkdir()
    others.write_text("mine")

    assert to_depot.sender.run(*to_depot.arguments()).code == 0

    assert others.read_text() == "mine"


def _outgoing(name: str, site: Site, top: Path) -> Outgoing:
    sender = Side(top / "sender")
    sender.top.mkdir()
    interruptions.fresh(sender, sender)
    folder = top / "out"
    folder.mkdir()
    outgoing = Outgoing(sender, site, folder, name, {})
    assert sender.run(*outgoing.arguments()).code == 0
    after = store_invariants.content(folder)
    packs = () if name == "depot" else tuple(_read_packs(folder / name))
    outgoing.clear()
    return Outgoing(sender, site, folder, name, after, packs)


def _read_packs(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".pack") and (file := tar.extractfile(member)):
                yield file.read()


def _broken(outgoing: Outgoing, launcher: Launcher, fault: Fault) -> Ended:
    outgoing.clear()
    return launcher.run(outgoing.sender, *outgoing.arguments(), fault=fault)
