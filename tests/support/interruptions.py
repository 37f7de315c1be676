"""Imports that are to be disturbed: what lies where before, and what may lie there meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import sides, store_invariants, stores
from tests.support.sides import Side, Site
from tests.support.store_invariants import Content

REPOSITORY: Final = "ward/tiny"
COMMIT: Final = "5" * 40
OLD: Final = "2025-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Scenario:
    """An import of ``source``: the side before it, and the stores after it."""

    name: str
    source: Path
    options: tuple[str, ...]
    before: Side
    after: Content
    allowed: dict[str, list[Content]]

    @property
    def arguments(self) -> Sequence[str | Path]:
        return ("import", self.source, "--jobs", "1", *self.options)

    def begin(self, top: Path) -> Side:
        """Make a side where the import has not begun."""
        return store_invariants.copy(self.before, top)

    def expect_whole(self, side: Side, moment: str) -> None:
        store_invariants.expect_whole(side, self.allowed, moment)

    def expect_finished(self, side: Side, moment: str) -> None:
        """Run the import again, undisturbed: the end must be as if nothing had been."""
        ran = side.run(*self.arguments)
        assert ran.code == 0, f"after {moment}: {ran.err}"
        assert store_invariants.store_contents(side) == self.after, (
            f"the rerun after {moment} ends otherwise"
        )


def fresh(sender: Side, receiver: Side) -> tuple[str, ...]:
    """A Bento and its model, into empty stores."""
    _make_shop(sender)
    del receiver
    return ()


def replacing(sender: Side, receiver: Side) -> tuple[str, ...]:
    """The same, over other content of the same tags, beside other versions."""
    _make_shop(sender)
    stores.add_bento(receiver, "shop:v10", {"src/x.py": b"ten"}, created=OLD)
    stores.add_bento(receiver, "shop:v1", {"src": b"a file here", "gone/x": b"old"}, created=OLD)
    stores.add_model(receiver, "ranker:v1", {"weights.bin": b"old", "gone/y": b""}, created=OLD)
    return ("--replace",)


def snapshot(sender: Side, receiver: Side) -> tuple[str, ...]:
    """A Bento with a Hugging Face snapshot, into empty stores."""
    _make_reader(sender)
    del receiver
    return ()


def merging(sender: Side, receiver: Side) -> tuple[str, ...]:
    """The same, where another Bento has already taken some of its files, and one more."""
    _make_reader(sender)
    files = {"config.json": b"{}", "onnx/model.onnx": b"other"}
    stores.add_snapshot(receiver, REPOSITORY, COMMIT, files)
    return ()


SCENARIOS: Final[dict[str, Callable[[Side, Side], tuple[str, ...]]]] = {
    made.__name__: made for made in (fresh, replacing, snapshot, merging)
}


def make(name: str, top: Path, site: Site) -> Scenario:
    """Make both sides, export, and import once undisturbed to see where that ends."""
    sender, receiver, undisturbed = (Side(top / one) for one in ("sender", "before", "after"))
    sender.top.mkdir(parents=True)
    receiver.top.mkdir()
    sides.trust(receiver, site)
    options = SCENARIOS[name](sender, receiver)
    tag = next(path.name for path in (sender.bentoml / "bentos").iterdir())
    ran = sender.run("export", tag, "-o", top / "depot", "--key", site.key(), "--jobs", "1")
    assert ran.code == 0, ran.err
    store_invariants.copy(receiver, undisturbed.top)
    assert undisturbed.run("import", top / "depot", *options).code == 0
    allowed = {path: [one] for path, one in store_invariants.items(undisturbed).items()}
    for path, one in store_invariants.items(receiver).items():
        allowed.setdefault(path, []).append(one)
    return Scenario(
        name,
        top / "depot",
        options,
        receiver,
        store_invariants.store_contents(undisturbed),
        allowed,
    )


def _make_shop(side: Side) -> None:
    stores.add_model(side, "ranker:v1", {"weights.bin": _two_chunks()})
    bento = stores.add_bento(
        side, "shop:v1", {"src/x.py": b"new", "zero": b""}, models=["ranker:v1"]
    )
    (bento / "run.sh").write_bytes(b"#!/bin/sh\n")
    (bento / "run.sh").chmod(0o755)
    (bento / "link").symlink_to("run.sh")
    (bento / "data").mkdir()


def _make_reader(side: Side) -> None:
    stores.add_snapshot(side, REPOSITORY, COMMIT, {"config.json": b"{}", "1/model.bin": b"weights"})
    stores.add_bento(
        side, "reader:v1", {"x.py": b"x"}, models=[stores.hugging_face_entry(REPOSITORY, COMMIT)]
    )


def _two_chunks() -> bytes:
    """Make a file of 600 kB that the cutter cuts in the middle, by the word it looks for."""
    inverse = pow(0x9E37_79B9_7F4A_7C15, -1, 2**64)
    word = (0x5A5A5 << 44) * inverse % 2**64
    return stores.noise(300_000, 1) + word.to_bytes(8, "little") + stores.noise(300_000, 2)
