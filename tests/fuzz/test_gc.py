"""Pushing, deleting, cleaning and reading in any order of their calls: nothing is lost (§23)."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airgap.carrier.depot import Depot, DepotOptions
from airgap.carrier.remote_depot import RemoteDepotReader, RemoteDepotWriter
from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.flow.depot import delete as deleting
from airgap.flow.depot import gc
from airgap.flow.progress import Silent
from airgap.flow.publishing import publish
from airgap.flow.publishing.publish import BundleFiles, SignedBundle, SweptError
from airgap.format import layout
from airgap.format import manifest as manifests
from airgap.format.inventory import File, make_item
from airgap.format.manifest import Block, ChunkTable, Manifest, Pack
from airgap.state import manifest_cache
from airgap.transport.connections import ConnectionPool
from tests.support.interleaving import Actor, Stage, inline

PACKS = [b"the first pack", b"the second one", b"a third"]
ENVELOPE = layout.envelope_file("builder", "a" * 64)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def bundle_with(numbers: tuple[int, ...]) -> tuple[str, bytes, list[Pack]]:
    """A bundle that has some of the packs: its id, its manifest, and they."""
    plain = [PACKS[number] for number in numbers]
    packs = [
        Pack(digest(data), len(data), (Block(0, len(data), 0, at, 1),))
        for at, data in enumerate(plain)
    ]
    files = [
        File(f"file{at}", executable=False, size=len(data), digest=digest(data), chunks=(at,))
        for at, data in enumerate(plain)
    ]
    raw = manifests.encode(
        Manifest(
            (make_item("model", "m", "v1", files),),
            ChunkTable(b"".join(map(digest, plain)), [len(data) for data in plain]),
            tuple(packs),
            0,
            "test",
        )
    )
    return manifests.bundle_id(raw), raw, packs


BUNDLES = [bundle_with((0, 1)), bundle_with((1, 2))]


def depot_of(actor: Actor, jobs: int = 1) -> Depot:
    return Depot(actor.transport, DepotOptions(jobs=jobs, spool=Path(_SPOOL.name)))


def push(number: int, actor: Actor) -> None:
    """Write a bundle; write again what cleaners have removed, and give up after ten times."""
    bundle, raw, packs = BUNDLES[number]
    for _ in range(10):
        writer = RemoteDepotWriter(depot_of(actor))
        try:
            with suppress(SweptError):
                for pack in packs:
                    plain = next(one for one in PACKS if digest(one) == pack.digest)
                    writer.put_pack(pack.digest, [plain])
                signed = SignedBundle(bundle, raw, {ENVELOPE: b"x"}, packs)
                publish.publish(writer, signed, Silent(), actor.clock)
                return
        finally:
            writer.abort()
    raise MissingError("It is removed again and again.", "Give up.")


def rely(number: int, actor: Actor) -> None:
    """Say that a bundle is there, which somebody else has put there; or push it."""
    bundle, _, packs = BUNDLES[number]
    depot = depot_of(actor)
    published = BundleFiles(bundle, [ENVELOPE], packs)
    if publish.count_missing_packs(depot, published, Silent(), actor.clock) != 0:
        push(number, actor)


def delete(number: int, actor: Actor) -> None:
    deleting.delete_bundle(depot_of(actor), BUNDLES[number][0], actor.clock)


def clean(actor: Actor) -> None:
    with suppress(MissingError):  # the depot is empty
        gc.collect_garbage(depot_of(actor), gc.GcOptions(0, 0, clock=actor.clock), Silent())


def read(number: int, actor: Actor) -> None:
    """Read a bundle: what is there is right, and what is not is missing."""
    bundle, _, packs = BUNDLES[number]
    reader = RemoteDepotReader(depot_of(actor), bundle)
    try:
        _, raw = reader.read_manifest()
        assert manifests.bundle_id(raw) == bundle
        for index, data in reader.read_packs(packs, range(len(packs))):
            if isinstance(data, AirgapError):
                raise data
            assert digest(bytes(data)) == packs[index].digest
    except MissingError:
        return


def is_whole(stage: Stage, number: int) -> bool:
    bundle, raw, packs = BUNDLES[number]
    files = stage.shop.files
    there = {layout.pack_name(pack.digest) for pack in packs}
    there |= {layout.manifest_name(bundle), f"{layout.BUNDLES}/{bundle}/{ENVELOPE}"}
    return there <= files.keys() and files[layout.manifest_name(bundle)] == raw


_SPOOL = TemporaryDirectory(prefix="airgap-stage-")
WRITERS: dict[str, tuple[Callable[[int, Actor], None], int]] = {
    "push 0": (push, 0),
    "push 1": (push, 1),
    "rely 0": (rely, 0),
}
WORK: dict[str, Callable[[Actor], None]] = {
    **{name: partial(work, number) for name, (work, number) in WRITERS.items()},
    "delete 0": partial(delete, 0),
    "clean": clean,
    "read 0": partial(read, 0),
}
CAST = st.lists(st.sampled_from(sorted(WORK)), min_size=1, max_size=3)
RUNS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 25)), max_size=12)
"""Who goes on, and for how many calls."""
KILLS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), max_size=2)
"""Who is killed, and before which run."""
GOOD_REASONS = (
    "again and again",  # cleaners removed what a writer sent, ten times
    "took too long",  # the stage's time leapt between announcing a sweep and removing
)


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ConnectionPool, "submit", inline)
    monkeypatch.setattr(manifest_cache, "load", lambda _: None)
    monkeypatch.setattr(manifest_cache, "save_manifest", lambda *_: None)
    yield
    assert not list(Path(_SPOOL.name).iterdir())


def enter(stage: Stage, names: list[str]) -> list[Actor]:
    """Let actors come to a depot in which somebody has left two packs."""
    for data in PACKS[:2]:  # a writer finds them, a cleaner wants to remove them
        stage.shop.files[layout.pack_name(digest(data))] = data
    return [stage.enter(WORK[name]) for name in names]


def broken(stage: Stage, names: list[str]) -> list[str]:
    """Return what was promised and is not there, and who failed for no good reason."""
    cast = list(zip(names, stage.actors, strict=True))
    deleted = [one for name, one in cast if name.startswith("delete")]
    found = []
    for name, one in cast:
        number = WRITERS[name][1] if name in WRITERS else 0
        undone = number == 0 and any(other.ended >= one.began for other in deleted)
        if name in WRITERS and one.done and not undone and not is_whole(stage, number):
            found.append(f"{name}: {sorted(stage.shop.files)}")
        if one.refused and not any(reason in one.refused.message for reason in GOOD_REASONS):
            found.append(f"{name}: {one.refused}")
    return found


@settings(max_examples=250, deadline=None)
@given(CAST, RUNS, KILLS)
@example(["clean", "clean", "delete 0"], [(1, 16), (0, 12), (4, 3), (0, 1), (0, 1)], [])
def test_what_a_writer_has_promised_is_there(
    cast: list[str], runs: list[tuple[int, int]], kills: list[tuple[int, int]]
) -> None:
    stage, names = Stage(), ["push 0", "clean", *cast]
    actors = enter(stage, names)
    for number, (who, count) in enumerate(runs):
        for one, when in kills:
            if when == number:
                actors[one % len(actors)].killed = True
        for _ in range(count):
            stage.turn(actors[who % len(actors)])
    stage.play([])

    assert not broken(stage, names)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_cleaner_that_has_looked_before_a_bundle_was_published_is_waited_for(
    stage: Stage,
) -> None:
    cleaner, writer = enter(stage, ["clean", "push 0"])
    cleaner.until("delete packs")
    writer.finish()
    assert writer.waits  # not done: the packs that it found there are about to go

    stage.play([])

    assert cleaner.done
    assert writer.done
    assert not broken(stage, ["clean", "push 0"])


def test_a_cleaner_looks_again_after_it_has_announced_what_goes(stage: Stage) -> None:
    cleaner, writer = enter(stage, ["clean", "push 0"])
    cleaner.until("publish gc")  # its marks
    stage.turn(cleaner)
    cleaner.until("publish gc")  # its announcement
    writer.finish()
    assert writer.done

    cleaner.finish()

    assert is_whole(stage, 0)


def test_packs_that_went_while_a_bundle_was_written_are_written_again(stage: Stage) -> None:
    cleaner, writer = enter(stage, ["clean", "push 0"])
    writer.until(f"publish {layout.manifest_name(BUNDLES[0][0])}")
    cleaner.finish()
    assert cleaner.done
    assert not [name for name in stage.shop.files if name.startswith(layout.PACKS)]

    writer.finish()

    assert is_whole(stage, 0)


@pytest.mark.parametrize("name", ["rely 0", "push 0"])
def test_what_another_has_published_and_not_made_sure_of_is_not_relied_on(
    name: str, stage: Stage
) -> None:
    cleaner, dead, writer = enter(stage, ["clean", "push 0", name])
    cleaner.until("delete packs")
    dead.until("list gc")
    dead.killed = True
    writer.finish()
    assert writer.waits

    stage.play([])

    assert writer.done
    assert is_whole(stage, 0)


@pytest.mark.parametrize("at", ["delete packs", "delete gc"])
def test_the_announcement_of_a_dead_cleaner_holds_nobody_up_for_ever(at: str, stage: Stage) -> None:
    cleaner, writer = enter(stage, ["clean", "push 0"])
    cleaner.until("delete packs")
    cleaner.until(at)
    cleaner.killed = True

    stage.play([])

    assert writer.done
    assert is_whole(stage, 0)
    assert not [name for name in stage.shop.files if name.endswith(".sweep")]


@pytest.mark.parametrize("calls", range(6))
def test_a_bundle_that_is_pushed_while_it_is_deleted_is_there_whole(
    calls: int, stage: Stage
) -> None:
    enter(stage, ["push 0"])
    stage.play([])
    deleter, writer = stage.enter(WORK["delete 0"]), stage.enter(WORK["push 0"])
    deleter.until("publish gc")
    for _ in range(calls):
        stage.turn(deleter)
    writer.until("list gc")

    stage.play([])

    assert writer.done
    assert is_whole(stage, 0)


def test_a_cleaner_that_cannot_read_a_manifest_removes_nothing(stage: Stage) -> None:
    enter(stage, ["push 0"])
    stage.play([])
    stage.shop.files[layout.manifest_name(BUNDLES[0][0])] = b"damaged"
    before = dict(stage.shop.files)

    cleaner = stage.enter(WORK["clean"])
    stage.play([])

    assert isinstance(cleaner.refused, CorruptError)
    assert stage.shop.files == before


def test_a_sweep_that_takes_too_long_removes_nothing_more(stage: Stage) -> None:
    cleaner, *_ = enter(stage, ["clean"])
    cleaner.until("delete packs")
    stage.seconds += 241

    stage.play([])

    assert len([name for name in stage.shop.files if name.startswith(layout.PACKS)]) == 1


def test_a_deletion_that_takes_too_long_stops_and_can_be_done_again(stage: Stage) -> None:
    enter(stage, ["push 0"])
    stage.play([])
    deleter = stage.enter(WORK["delete 0"])
    deleter.until("delete bundles")
    stage.seconds += 241
    stage.play([])
    assert isinstance(deleter.refused, TransportError)

    stage.enter(WORK["delete 0"])
    stage.play([])

    assert not [name for name in stage.shop.files if name.startswith(layout.BUNDLES)]
