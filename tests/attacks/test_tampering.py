"""Threat model, tampering: any byte that is changed, cut off, added or put beside."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, NotTrustedError
from airgap.flow.bundle import open_bundle
from airgap.flow.importing.verify import verify_content
from airgap.flow.location.location import StandardInput
from airgap.flow.progress import Silent
from airgap.format.root import Root
from airgap.signing.trust import Verified
from tests.support import forge, refusals, store_invariants, stores
from tests.support.forge import Draft, Forge, Link
from tests.support.sides import Side


@pytest.fixture
def made() -> Draft:
    return forge.draft(forge.model({"weights.bin": stores.noise(300), "link": Link("model.yaml")}))


@pytest.fixture
def tiny_depot(forged: Forge, made: Draft) -> Path:
    return forged.depot(made)


@pytest.fixture
def tiny_archive(forged: Forge, made: Draft) -> Path:
    return forged.archive(made)


def flips(raw: bytes) -> Iterator[bytes]:
    """Yield the bytes with one bit of one byte flipped, for each byte; the bit changes along."""
    for offset in range(len(raw)):
        changed = bytearray(raw)
        changed[offset] ^= 1 << offset % 8
        yield bytes(changed)


def test_each_byte_of_the_manifest_counts(
    tiny_depot: Path, isolated: Side, root: Verified[Root]
) -> None:
    (manifest,) = tiny_depot.glob("bundles/*/manifest.msgpack")
    with forge.refused(isolated, root, CorruptError) as check:
        for changed in flips(manifest.read_bytes()):
            forge.put(manifest, changed)
            check(tiny_depot)


def test_each_byte_of_the_manifest_is_signed(
    forged: Forge, made: Draft, isolated: Side, root: Verified[Root], tmp_path: Path
) -> None:
    # The attacker renames the folder as well, so that the id is right again.
    raw = made.raw()
    envelopes = forge.sign(raw, forged.signer)
    with forge.refused(isolated, root, NotTrustedError) as check:
        for number, changed in enumerate(flips(raw)):
            depot = tmp_path / "renamed" / str(number)
            check(forge.write_depot(depot, forge.members(changed, envelopes, made.packs)))


def test_each_byte_of_an_envelope_counts(
    tiny_depot: Path, isolated: Side, root: Verified[Root]
) -> None:
    (envelope,) = tiny_depot.glob("bundles/*/*.dsse")
    with forge.refused(isolated, root, NotTrustedError) as check:
        for changed in flips(envelope.read_bytes()):
            forge.put(envelope, changed)
            check(tiny_depot)


def test_each_byte_of_a_pack_counts(tiny_depot: Path, isolated: Side, root: Verified[Root]) -> None:
    (pack,) = tiny_depot.glob("packs/*/*.pack")
    with forge.refused(isolated, root, CorruptError) as check:
        for changed in flips(pack.read_bytes()):
            forge.put(pack, changed)
            check(tiny_depot)


def test_a_manifest_that_is_cut_off_anywhere_is_refused(
    tiny_depot: Path, isolated: Side, root: Verified[Root]
) -> None:
    (manifest,) = tiny_depot.glob("bundles/*/manifest.msgpack")
    raw = manifest.read_bytes()
    with forge.refused(isolated, root, CorruptError) as check:
        for size in range(len(raw)):
            forge.put(manifest, raw[:size])
            check(tiny_depot)


def test_an_envelope_that_is_cut_off_anywhere_is_refused(
    tiny_depot: Path, isolated: Side, root: Verified[Root]
) -> None:
    (envelope,) = tiny_depot.glob("bundles/*/*.dsse")
    raw = envelope.read_bytes()
    with forge.refused(isolated, root, NotTrustedError) as check:
        for size in range(len(raw)):
            forge.put(envelope, raw[:size])
            check(tiny_depot)


def test_a_pack_that_is_cut_off_anywhere_is_refused(
    tiny_depot: Path, isolated: Side, root: Verified[Root]
) -> None:
    (pack,) = tiny_depot.glob("packs/*/*.pack")
    raw = pack.read_bytes()
    with forge.refused(isolated, root, CorruptError) as check:
        for size in range(len(raw)):
            forge.put(pack, raw[:size])
            check(tiny_depot)


@pytest.mark.parametrize("pattern", ["manifest.msgpack", "*.dsse", "*.pack"])
def test_no_file_may_go_on_after_its_end(pattern: str, tiny_depot: Path, isolated: Side) -> None:
    (file,) = tiny_depot.rglob(pattern)
    file.write_bytes(file.read_bytes() + b"\n")

    error = NotTrustedError if pattern == "*.dsse" else CorruptError
    refusals.expect_refusal(isolated, "verify", tiny_depot, error=error)
    refusals.expect_refusal(isolated, "import", tiny_depot, error=error)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [("manifest.msgpack", MissingError), ("*.dsse", NotTrustedError), ("*.pack", MissingError)],
)
def test_no_file_may_be_missing(
    pattern: str, error: type[AirgapError], tiny_depot: Path, isolated: Side
) -> None:
    (file,) = tiny_depot.rglob(pattern)
    file.unlink()

    refusals.expect_refusal(isolated, "verify", tiny_depot, error=error)
    refusals.expect_refusal(isolated, "import", tiny_depot, error=error)


def test_files_that_lie_beside_are_never_read(tiny_depot: Path, isolated: Side) -> None:
    (bundle,) = tiny_depot.glob("bundles/*")
    for stray in (
        "bundles/notes.txt",
        "bundles/" + "0" * 64 + "/builder." + "0" * 64 + ".dsse",  # a bundle without its manifest
        "bundles/" + "F" * 64 + "/manifest.msgpack",
        f"bundles/{bundle.name}/builder.dsse",
        f"bundles/{bundle.name}/builder." + "0" * 64 + ".dsse.part",
        f"bundles/{bundle.name}/admin." + "0" * 64 + ".dsse",
        f"bundles/{bundle.name}/manifest.msgpack.0123.part",
        "packs/00/" + "0" * 64 + ".pack",
        "roots/2.root.msgpack",
        "autorun.inf",
    ):
        (tiny_depot / stray).parent.mkdir(parents=True, exist_ok=True)
        (tiny_depot / stray).write_bytes(forge.SECRET)
    (bundle / "checksums.txt").write_bytes(b"not what sha256sum would say\n")

    assert isolated.run("import", tiny_depot).code == 0

    installed = stores.snapshot(isolated.bentoml)
    assert not any(hashlib.sha256(forge.SECRET).hexdigest() in one for one in installed.values())


def test_a_pack_of_another_bundle_under_this_ones_name_is_refused(
    tiny_depot: Path, made: Draft, isolated: Side
) -> None:
    (pack,) = tiny_depot.glob("packs/*/*.pack")
    pack.write_bytes(bytes(len(made.packs[0])))

    refusals.expect_refusal(isolated, "verify", tiny_depot, error=CorruptError)
    refusals.expect_refusal(isolated, "import", tiny_depot, error=CorruptError)


def test_a_pack_that_is_wrong_after_a_good_one_leaves_nothing_in_the_stores(
    depot: Path, isolated: Side
) -> None:
    # shop:v1 and its model have a pack each; the model's comes first.
    (bundle,) = depot.glob("bundles/*/checksums.txt")
    last = depot / bundle.read_text().split()[-1]
    raw = bytearray(last.read_bytes())
    raw[-1] ^= 1
    last.write_bytes(raw)

    refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)
    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)

    raw[-1] ^= 1
    last.write_bytes(raw)
    assert isolated.run("import", depot).code == 0
    assert not store_invariants.left_over(isolated)


# A single file


def test_a_single_file_that_is_cut_off_anywhere_is_refused(
    tiny_archive: Path, isolated: Side, root: Verified[Root]
) -> None:
    # Behind the pack nothing but the end is missing, and what was verified stays in staging.
    raw = tiny_archive.read_bytes()
    with forge.refused(isolated, root, CorruptError, staging=True) as check:
        for size in range(len(raw)):
            forge.put(tiny_archive, raw[:size])
            check(tiny_archive)


def test_each_byte_of_a_single_file_counts(
    tiny_archive: Path, isolated: Side, root: Verified[Root]
) -> None:
    raw = tiny_archive.read_bytes()
    with forge.refused(isolated, root, CorruptError, NotTrustedError, staging=True) as check:
        for changed in flips(raw):
            forge.put(tiny_archive, changed)
            check(tiny_archive)


@pytest.mark.parametrize("more", [b"\0", b"\n", b"again"])
def test_a_single_file_ends_in_zeros_and_nothing_else(
    more: bytes, tiny_archive: Path, isolated: Side
) -> None:
    tiny_archive.write_bytes(tiny_archive.read_bytes() + bytes(512) + more)

    if more == b"\0":
        assert isolated.run("verify", tiny_archive).code == 0
    else:
        refusals.expect_refusal(isolated, "verify", tiny_archive, error=CorruptError)
        refusals.expect_refusal(isolated, "import", tiny_archive, error=CorruptError, staging=True)


def test_a_single_file_that_has_no_end_is_refused(
    tiny_archive: Path, isolated: Side, root: Verified[Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(io.BytesIO):
        """The archive, then zeros for ever (as a pipe or a device may have)."""

        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if data:
                return data
            Endless.given += size or 0
            assert Endless.given < 10**9, "went on reading"
            return bytes(size or 0)

    class Standard:
        buffer = Endless(tiny_archive.read_bytes())

    monkeypatch.setattr("sys.stdin", Standard)
    before = stores.snapshot(isolated.top)
    with (
        isolated.here(),
        pytest.raises(CorruptError),
        open_bundle.open_bundle(StandardInput(), forge.judging(root)) as opened,
    ):
        verify_content(opened, jobs=1, progress=Silent())
    assert stores.snapshot(isolated.top) == before


@pytest.mark.parametrize("part", ["nothing", "half", "flipped"])
def test_what_comes_on_standard_input_is_checked_alike(
    part: str, tiny_archive: Path, isolated: Side
) -> None:
    raw = bytearray(tiny_archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    sent = {"nothing": b"", "half": bytes(raw[:1024]), "flipped": bytes(raw)}[part]
    before = stores.snapshot(isolated.top)

    ran = isolated.process("import", "-", "--json", stdin=sent)

    assert ran.returncode == CorruptError.exit_code, ran.stderr
    assert stores.snapshot(isolated.top) == before


def test_a_whole_bundle_on_standard_input_is_imported(tiny_archive: Path, isolated: Side) -> None:
    ran = isolated.process("import", "-", stdin=tiny_archive.read_bytes())

    assert ran.returncode == 0, ran.stderr
    assert (isolated.bentoml / "models/ranker/v1/weights.bin").read_bytes() == stores.noise(300)
