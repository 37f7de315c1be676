"""Whatever signed digests contradict each other, what is installed is what its file's one says.

A chunk is not hashed by itself where the digest of a file speaks for it (format §11). The builder
here has signed chunks and files that do not fit each other, in every combination.
"""

import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError, StorageError
from airgap.flow.bundle import open_bundle
from airgap.flow.importing import install_bundle
from airgap.flow.location.location import parse_location
from airgap.flow.media import volumes
from airgap.flow.progress import Silent
from airgap.format import volume
from airgap.format.root import Root
from airgap.format.volume import Label
from airgap.signing.trust import Verified
from tests.support import forge
from tests.support.forge import Draft, File, Forge
from tests.support.sides import Side

LAYOUTS = {
    "one file in order": {"m": {"a": "AB"}},
    "a file that is one of its chunks": {"m": {"a": "AB", "b": "B"}},
    "a file in another order": {"m": {"a": "AB", "b": "BA"}},
    "a chunk twice in a file": {"m": {"a": "ABA"}},
    "a chunk twice, and in order elsewhere": {"m": {"a": "AB", "b": "BB"}},
    "two files in order": {"m": {"a": "ABC", "b": "AC"}},
    "two items, the first in order": {"m": {"a": "AB"}, "n": {"b": "BA"}},
    "two items, the second in order": {"m": {"a": "BA"}, "n": {"b": "BC"}},
}
"""The chunks of each file of each model."""


@dataclass(frozen=True)
class Case:
    """A bundle: which chunks are stored as other bytes, whose files' digests go along with that."""

    layout: Mapping[str, Mapping[str, str]]
    stored_wrong: str
    agreeing: frozenset[str]

    def content(self, chunks: str, wrong: str) -> tuple[bytes, ...]:
        return tuple((one.lower() if one in wrong else one).encode() * 10 for one in chunks)

    def digest(self, path: str, chunks: str) -> bytes:
        """The signed digest of a file."""
        wrong = self.stored_wrong if path in self.agreeing else ""
        return hashlib.sha256(b"".join(self.content(chunks, wrong))).digest()

    @property
    def files(self) -> list[tuple[str, str, str]]:
        """Model, path and chunks of every file."""
        return [(m, p, c) for m, files in self.layout.items() for p, c in files.items()]

    @property
    def holds(self) -> bool:
        """Tell whether the bytes that are stored are what every file's digest says."""
        return all(
            hashlib.sha256(b"".join(self.content(chunks, self.stored_wrong))).digest()
            == self.digest(path, chunks)
            for _, path, chunks in self.files
        )

    def draft(self, *models: str) -> Draft:
        """Describe the bundle (or some of its models), each chunk in a pack of its own."""
        items = [
            forge.model(
                {p: File(self.content(c, ""), digest=self.digest(p, c)) for p, c in files.items()},
                f"{name}:v1",
            )
            for name, files in self.layout.items()
            if name in (models or self.layout)
        ]
        made = forge.draft(*items)
        right, lengths = made.packs[0], made.manifest["chunks"]["lengths"]
        stored: list[bytes] = []
        for at in range(0, len(lengths), 4):
            size = int.from_bytes(lengths[at : at + 4], "big")
            plain, right = right[:size], right[size:]
            is_wrong = size == 10 and chr(plain[0]) in self.stored_wrong
            stored.append(plain.lower() if is_wrong else plain)
        count = len(stored)
        made.packs = stored
        made.manifest["blocks"]["offsets"] = forge.u32(*[0] * count)
        made.manifest["packs"] = {
            "block_counts": forge.u32(*[1] * count),
            "digests": b"".join(map(forge.sha256, stored)),
            "sizes": forge.u32(*map(len, stored)),
        }
        return made


def cases(layout: Mapping[str, Mapping[str, str]]) -> Iterator[Case]:
    paths = [path for files in layout.values() for path in files]
    chunks = sorted({one for files in layout.values() for text in files.values() for one in text})
    for wrong in ("", *chunks, "".join(chunks)):
        for count in range(len(paths) + 1 if wrong else 1):
            for agreeing in itertools.combinations(paths, count):
                yield Case(layout, wrong, frozenset(agreeing))


@dataclass(frozen=True)
class Bench:
    """Where bundles are made, and the side that takes them."""

    forged: Forge
    root: Verified[Root]
    side: Side

    def bring(self, *places: Path) -> AirgapError | None:
        """Import a bundle; return how it was refused."""
        open_one = partial(open_bundle.open_bundle, admission=forge.judging(self.root))
        try:
            with volumes.open_volumes(
                [parse_location(str(location)) for location in places], open_one, Silent()
            ) as opened:
                install_bundle.install_bundle(
                    opened, replace=False, dry_run=False, jobs=1, progress=Silent()
                )
        except AirgapError as error:
            return error
        return None

    def volumes(self, made: Draft) -> list[Path]:
        """Write a volume for each pack."""
        whole, count = self.forged.depot(made), len(made.packs)
        bundle, folder = forge.names_of(made.raw())
        found = []
        for number, pack in enumerate(made.packs, 1):
            top = whole.with_name(f"{whole.name}-{number}")
            shutil.copytree(whole / "bundles", top / "bundles", dirs_exist_ok=True)
            label = volume.encode(Label(bundle, number, (1,) * count, (0,) * count))
            files = ((f"{folder}/volume.json", label), (forge.pack_name(pack), pack))
            found.append(forge.write_depot(top, files))
        return found

    def demand(
        self,
        case: Case,
        error: AirgapError | None,
        there: Sequence[str] = (),
        *,
        is_stored: bool = True,
    ) -> None:
        """Demand all of the bundle in the store, as its files' digests say, or nothing of it.

        ``there`` are models that were installed before. ``is_stored`` is whether all of it has come
        out of the bundle, so that it must have held.
        """
        store = self.side.bentoml / "models"
        if error is not None:
            assert isinstance(error, CorruptError | StorageError | MissingError), error
            assert sorted(path.name for path in store.glob("*")) == sorted(there)
            return
        assert case.holds or not is_stored
        for model, path, chunks in case.files:
            data = (store / model / "v1" / path).read_bytes()
            assert hashlib.sha256(data).digest() == case.digest(path, chunks)

    def clear(self) -> None:
        shutil.rmtree(self.side.bentoml, ignore_errors=True)


@pytest.fixture
def bench(forged: Forge, root: Verified[Root], isolated: Side) -> Iterator[Bench]:
    with isolated.here():
        yield Bench(forged, root, isolated)


def at_once(bench: Bench, case: Case) -> None:
    error = bench.bring(bench.forged.depot(case.draft()))

    bench.demand(case, error)
    if not case.stored_wrong:
        assert error is None


def one_by_one(bench: Bench, case: Case) -> None:
    order = 1 if len(case.agreeing) % 2 else -1
    *most, last = bench.volumes(case.draft())[::order]
    first = [bench.bring(location) for location in most]
    assert all(isinstance(one, MissingError | CorruptError) for one in first)

    error = bench.bring(last)

    if isinstance(error, MissingError):  # one that was refused before is still to come
        assert any(isinstance(one, CorruptError) for one in first)
        assert not list((bench.side.bentoml / "models").glob("*"))
    else:
        bench.demand(case, error)


def with_a_journal_that_lies(bench: Bench, case: Case) -> None:
    """Everything is said to be staged already, and what is staged is wrong."""
    first, *others = bench.volumes(case.draft())
    bench.bring(first)
    for journal in (bench.side.bentoml / ".airgap").rglob("seen.json"):
        journal.write_text('{"staged":[[0,99]],"damaged":[]}')
    for staged in (bench.side.bentoml / ".airgap").rglob("[ab]"):
        staged.write_bytes(b"x" * staged.stat().st_size)

    error = bench.bring(*others)

    bench.demand(case, error)


def beside_what_is_there(bench: Bench, case: Case) -> None:
    """One of the items was installed before, from a bundle that is right."""
    first = next(iter(case.layout))
    honest = Case(case.layout, "", frozenset())
    assert bench.bring(bench.forged.depot(honest.draft(first))) is None

    error = bench.bring(bench.forged.depot(case.draft()))

    if not isinstance(error, ConflictError):  # what is there is what the bundle says
        bench.demand(case, error, there=[first], is_stored=False)


def verified(bench: Bench, case: Case) -> None:
    location = bench.forged.depot(case.draft())
    if case.holds:
        return
    with pytest.raises(CorruptError):
        forge.verify_in_process(location, bench.root)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "way", [at_once, one_by_one, with_a_journal_that_lies, beside_what_is_there, verified]
)
def test_what_is_installed_is_what_the_digests_of_files_say(
    way: Callable[[Bench, Case], None], layout: str, bench: Bench
) -> None:
    for case in cases(LAYOUTS[layout]):
        way(bench, case)
        bench.clear()
