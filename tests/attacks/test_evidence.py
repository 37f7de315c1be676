"""Threat model: what travels as evidence is not trusted, and adding it harms nothing (§24)."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from airgap.carrier.depot import Depot, DepotBundle
from airgap.errors import ConflictError, MissingError, UsageError
from airgap.flow.bundle.foreign_file import read_foreign_file
from airgap.flow.bundle.open_to_sign import open_to_sign
from airgap.flow.evidence.attach_file import attach_file
from airgap.flow.location.location import LocalDepot, parse_location
from airgap.flow.progress import Silent
from airgap.flow.publishing.attach import attach
from airgap.flow.publishing.sweep import Clock
from airgap.format import gc_markers, layout, limits
from airgap.format.bundle_statement import PROVENANCE, bundle_subject
from airgap.format.intoto import InTotoStatement
from airgap.signing.signer import Signer
from airgap.signing.statements import sign_statement
from airgap.transport.folder import FolderTransport
from tests.servers.in_memory import MemoryFiles, MemoryTransport
from tests.support import forge
from tests.support import signers as people
from tests.support.forge import Forge
from tests.support.sides import Side, Site
from tests.support.stores import snapshot

KEY = "0a" * 32
SWEEP = layout.sweep_name("ab" * 16)


@pytest.fixture
def depot(forged: Forge) -> Path:
    return forged.depot(forge.draft(forge.model({"w.bin": b"w" * 99})))


def folder_of(depot: Path) -> Path:
    (folder,) = (depot / "bundles").iterdir()
    return folder


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


class Waiting:
    """A clock whose waits let something happen."""

    def __init__(self, *happens: object) -> None:
        self.now = 0.0
        self._happens = list(happens)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self._happens:
            happening = self._happens.pop(0)
            assert callable(happening)
            happening()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.wait)


@contextmanager
def sweeping(depot: Path, *names: str) -> Iterator[Path]:
    sweep = depot / SWEEP
    sweep.parent.mkdir(exist_ok=True)
    sweep.write_bytes(gc_markers.encode_sweep(names))
    yield sweep


def test_what_gc_removes_meanwhile_is_attached_again(depot: Path) -> None:
    folder = folder_of(depot)
    file = f"x.{KEY}.findings"

    with sweeping(depot, f"bundles/{folder.name}/{file}") as sweep:

        def end() -> None:
            (folder / file).unlink()
            sweep.unlink()

        waiting = Waiting(end)
        with open_to_sign(LocalDepot(depot)) as candidate:
            attach(candidate.reader, file, b"data", Silent(), waiting.clock)

    assert (folder / file).read_bytes() == b"data"


def test_a_bundle_that_is_deleted_meanwhile_is_not_reported_to_have_it(depot: Path) -> None:
    folder = folder_of(depot)
    file = f"x.{KEY}.findings"

    with sweeping(depot, f"bundles/{folder.name}/{layout.MANIFEST}") as sweep:

        def end() -> None:
            (folder / layout.MANIFEST).unlink()
            sweep.unlink()

        with (
            open_to_sign(LocalDepot(depot)) as candidate,
            pytest.raises(MissingError, match="deleted"),
        ):
            attach(candidate.reader, file, b"data", Silent(), Waiting(end).clock)


def test_a_depot_that_removes_it_each_time_ends_the_command(
    depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderTransport, "publish", lambda *_, **__: True)

    with (
        open_to_sign(LocalDepot(depot)) as candidate,
        pytest.raises(MissingError, match="each time"),
    ):
        attach(candidate.reader, f"x.{KEY}.findings", b"data", Silent(), Waiting().clock)


@pytest.mark.parametrize(
    "name", ["..", "a/b", "../x", "scanner", "builder.1", "X", "x" * 21, "\x1b[2J", "a\n"]
)
def test_a_name_that_could_mislead_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_foreign_file(written(tmp_path, "x", b"data"), name)


@pytest.mark.parametrize("size", [0, limits.FINDINGS_BYTES + 1])
def test_a_file_of_another_size_is_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bytes"):
        read_foreign_file(written(tmp_path, "x", bytes(size)))


def test_a_flood_is_refused_and_leaves_what_is_there(depot: Path, tmp_path: Path) -> None:
    for number in range(limits.ATTACHMENTS):
        written(folder_of(depot), f"n{number:02}.{KEY}.findings", b"t")
    before = snapshot(depot)

    with pytest.raises(ConflictError, match="room"):
        attach_file([LocalDepot(depot)], read_foreign_file(written(tmp_path, "x", b"d")), Silent())

    assert snapshot(depot) == before


def test_all_together_have_a_limit(depot: Path, tmp_path: Path) -> None:
    for number in range(4):
        with (folder_of(depot) / f"n{number}.{KEY}.findings").open("wb") as file:
            file.truncate(limits.FINDINGS_BYTES)

    with pytest.raises(ConflictError, match="room"):
        attach_file([LocalDepot(depot)], read_foreign_file(written(tmp_path, "x", b"d")), Silent())


def test_another_file_of_one_name_is_refused_and_the_same_is_attached_once(
    depot: Path, tmp_path: Path
) -> None:
    foreign = read_foreign_file(written(tmp_path, "x", b"d"))
    attach_file([LocalDepot(depot)], foreign, Silent())
    once = snapshot(depot)
    attach_file([LocalDepot(depot)], foreign, Silent())
    assert snapshot(depot) == once

    (folder_of(depot) / foreign.file).write_bytes(b"other")
    with pytest.raises(ConflictError, match="different content"):
        attach_file([LocalDepot(depot)], foreign, Silent())


@pytest.mark.parametrize("other", [b"other", b"data"])
def test_a_file_that_another_program_adds_meanwhile_is_not_replaced(
    other: bytes, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = folder_of(depot), f"x.{KEY}.findings"
    look = FolderTransport.list

    def look_and_be_late(transport: FolderTransport, name: str, limit: int) -> list[str]:
        seen = look(transport, name, limit)
        (folder / file).write_bytes(other)
        return seen

    monkeypatch.setattr(FolderTransport, "list", look_and_be_late)
    with open_to_sign(LocalDepot(depot)) as candidate:
        refused = pytest.raises(ConflictError, match="different content")
        with nullcontext() if other == b"data" else refused:
            attach(candidate.reader, file, b"data", Silent())

    assert (folder / file).read_bytes() == other


def test_two_bundles_do_not_get_one_file(forged: Forge, depot: Path, tmp_path: Path) -> None:
    other = forged.depot(forge.draft(forge.model({"w.bin": b"v"})))
    before = snapshot(depot), snapshot(other)

    with pytest.raises(UsageError, match="2 different bundles"):
        attach_file(
            [LocalDepot(depot), LocalDepot(other)],
            read_foreign_file(written(tmp_path, "x", b"d")),
            Silent(),
        )

    assert (snapshot(depot), snapshot(other)) == before


def test_standard_input_and_a_file_on_a_server_get_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        attach_file(
            [parse_location("-")], read_foreign_file(written(tmp_path, "x", b"d")), Silent()
        )


def stated(bundle: str, signer: Signer, predicate_type: str = PROVENANCE) -> bytes:
    statement = InTotoStatement([bundle_subject(bundle)], predicate_type, {"verified": True})
    return sign_statement(statement, signer)


def verified(side: Side, depot: Path) -> tuple[str, list[str]]:
    """Return what ``verify`` shows, and its verdicts on attachments."""
    ran = side.run("verify", depot)
    assert ran.code == 0, ran.err
    rows = side.run("verify", depot, "--json").json["attachments"]
    return ran.out, [row["verdict"] for row in rows]


def test_a_statement_that_claims_to_be_trusted_is_not(
    depot: Path, isolated: Side, site: Site
) -> None:
    folder = folder_of(depot)
    stranger = people.person("eve")
    raw = stated(folder.name, stranger, "airgap:verified/v1")
    written(folder, f"provenance.{stranger.key.id}.intoto.json", raw)
    claimed = forge.load_signer(site.key()).key.id
    forged = raw.replace(stranger.key.id.encode(), claimed.encode())
    written(folder, f"provenance.{claimed}.intoto.json", forged)
    written(folder, f"trusted.{KEY}.findings", b'{"verdict": "signed"}')

    shown, verdicts = verified(isolated, depot)

    assert sorted(verdicts) == ["does not match", "not checked", "not checked"]
    assert f"is NOT that of builder {claimed}: do not rely on it" in " ".join(shown.split())


def test_provenance_of_another_bundle_is_called_that(
    depot: Path, isolated: Side, site: Site
) -> None:
    builder = forge.load_signer(site.key())
    raw = stated("00" * 32, builder)
    written(folder_of(depot), f"provenance.{builder.key.id}.intoto.json", raw)

    shown, verdicts = verified(isolated, depot)

    assert verdicts == ["another bundle"]
    assert "about ANOTHER bundle: do not rely on it" in " ".join(shown.split())


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J\x1b[HOK: all is well", "a\u202eb", "x\nOK: trusted", "y" * 100_000]
)
def test_texts_of_a_statement_do_not_reach_the_terminal(
    hostile: str, depot: Path, isolated: Side, site: Site
) -> None:
    builder = forge.load_signer(site.key())
    raw = stated(folder_of(depot).name, builder, hostile)
    written(folder_of(depot), f"provenance.{builder.key.id}.intoto.json", raw)

    shown, verdicts = verified(isolated, depot)
    inspected = isolated.run("inspect", depot).out

    assert verdicts == ["signed"]
    for text in (shown, inspected):
        assert not {"\x1b", "\u202e"} & set(text)
        assert "\nOK: trusted" not in text
        assert len(text) < 10_000


def test_an_import_reads_no_statement_and_installs_none(
    depot: Path, isolated: Side, site: Site
) -> None:
    builder = forge.load_signer(site.key())
    written(folder_of(depot), f"provenance.{builder.key.id}.intoto.json", b"[" * 100_000)

    assert isolated.run("import", depot).code == 0
    assert not list(isolated.top.rglob("*.intoto.json"))


def test_nothing_lies_open_beside_a_sealed_bundle(small: Side, site: Site, tmp_path: Path) -> None:
    recipient = ("--seal-to", make_recipient(tmp_path), "--insecure-recipients")
    upstream = written(tmp_path, "model.sig", b"upstream")
    depot = tmp_path / "depot"
    words = ("export", "shop:v1", "-o", depot, "--key", site.key(), "--seal", *recipient)
    ran = small.run(*words, "--provenance", "--attach", upstream)
    assert ran.code == 0, ran.err
    before = snapshot(depot)

    ran = small.run("attach", depot, upstream)

    assert (ran.code, snapshot(depot)) == (2, before)
    assert "sealed" in ran.err
    assert not [path for path in depot.rglob("*") if path.suffix in (".findings", ".json")]
    collected = small.run("evidence", depot, "-o", tmp_path / "evidence")
    assert "airgap unseal" in collected.out


def make_recipient(folder: Path) -> str:
    made = Side(folder / "gate")
    made.top.mkdir()
    words = ("key", "generate", "gate", "--seal", "--dir", folder, "--no-passphrase", "--json")
    recipient: str = made.run(*words).json["recipient"]
    return recipient


def test_a_depot_on_a_server_gets_it_whole_or_says_so(depot: Path) -> None:
    server = MemoryFiles(
        {
            str(path.relative_to(depot)): path.read_bytes()
            for path in depot.rglob("*")
            if path.is_file()
        }
    )
    bundle, file = folder_of(depot).name, f"x.{KEY}.findings"
    reader = DepotBundle(Depot(MemoryTransport(server)), bundle)

    attach(reader, file, b"data", Silent(), Waiting().clock)
    assert server.files[f"bundles/{bundle}/{file}"] == b"data"
    with pytest.raises(ConflictError):
        attach(reader, file, b"other", Silent(), Waiting().clock)

    del server.files[layout.manifest_name(bundle)]
    with pytest.raises(MissingError, match="deleted"):
        attach(reader, f"y.{KEY}.findings", b"data", Silent(), Waiting().clock)
