"""Any mutation of any file: refused with an error of our own, or without any effect."""

import base64
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError
from airgap.flow.bundle import open_bundle
from airgap.flow.location.location import parse_location
from airgap.format import canonical, envelope, limits, manifest, root, tar
from airgap.signing import public_keys, trust
from airgap.signing.signer import Signer
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from tests.support import forge, stores
from tests.support.forge import File, Folder, Link
from tests.support.mutations import FEW, Mutation, leaves, mutations, values
from tests.support.sides import Site


@dataclass(frozen=True)
class Target:
    """Bundles that a site's builder signed, and that site's root."""

    depot: Path
    archive: Path
    root: Verified[root.Root]
    signer: Signer
    scratch: Path


@pytest.fixture(scope="module")
def target(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("fuzz")
    signer = forge.load_signer(site.key())
    made = forge.draft(
        forge.model(
            {"w.bin": stores.noise(200), "two": File((b"a" * 50, b"b")), "l": Link("w.bin")}
        ),
        forge.bento({"empty": b"", "folder": Folder()}),
    )
    ours = forge.Forge(folder, signer)
    return Target(ours.depot(made), ours.archive(made), forge.trusted(site), signer, folder)


def outcome(location: Path, trusted: Verified[root.Root]) -> str:
    """Verify a bundle; return its id if it is accepted. Other errors than ours pass through."""
    try:
        with open_bundle.open_bundle(
            parse_location(str(location)), forge.judging(trusted)
        ) as opened:
            bundle = opened.bundle
        forge.verify_in_process(location, trusted)
    except AirgapError as error:
        refusal = error
    else:
        return bundle
    assert type(refusal) is not AirgapError, "a bug in airgap"
    assert refusal.message
    assert refusal.hint
    return refusal.kind


def test_what_is_mutated_below_is_good_before(target: Target) -> None:
    assert outcome(target.depot, target.root) == outcome(target.archive, target.root)
    assert len(outcome(target.depot, target.root)) == 64


@pytest.mark.parametrize("pattern", ["manifest.msgpack", "*.dsse", "*.pack"])
def test_a_mutated_depot_is_refused_or_the_same(pattern: str, target: Target) -> None:
    good = outcome(target.depot, target.root)
    depot = target.scratch / "mutated"
    shutil.rmtree(depot, ignore_errors=True)
    shutil.copytree(target.depot, depot)
    (file,) = depot.rglob(pattern)
    raw = file.read_bytes()

    @FEW
    @given(mutations)
    def check(mutate: Mutation) -> None:
        changed = mutate(raw)
        forge.put(file, changed)
        expected = {good} if changed == raw else {"corrupt", "not-trusted"}
        assert outcome(depot, target.root) in expected

    check()


@FEW
@given(mutate=mutations)
def test_a_mutated_single_file_is_refused_or_the_same(mutate: Mutation, target: Target) -> None:
    good = outcome(target.archive, target.root)
    path = target.scratch / "mutated.airgap"
    forge.put(path, mutate(target.archive.read_bytes()))

    assert outcome(path, target.root) in {good, "corrupt", "not-trusted", "missing"}


@FEW
@given(mutate=mutations, again=mutations)
def test_a_mutated_manifest_that_is_signed_is_refused_or_well_formed(
    mutate: Mutation, again: Mutation, target: Target
) -> None:
    (file,) = target.depot.rglob("manifest.msgpack")
    raw = again(mutate(file.read_bytes()))
    envelopes = list(forge.sign(raw, target.signer).values())
    try:
        admitted = trust.admit(raw, Evidence(envelopes), target.root, 0)
    except (CorruptError, PolicyError):
        return
    assert manifest.encode(admitted.value) == raw


@FEW
@given(value=values, data=st.data())
def test_any_value_in_a_signed_manifest_is_refused_or_well_formed(
    value: object, data: st.DataObject, target: Target
) -> None:
    (file,) = target.depot.rglob("manifest.msgpack")
    tree = canonical.decode(file.read_bytes(), limit=limits.MANIFEST_BYTES, what="manifest")
    change = data.draw(st.sampled_from(leaves(tree)))
    change(value)
    for item in tree["items"] if isinstance(tree["items"], list) else ():
        if isinstance(item, dict) and isinstance(item.get("entries"), list):
            try:
                item["digest"] = forge.item_digest(item)
            except (AttributeError, KeyError, TypeError):
                continue
    raw = canonical.encode(tree)
    try:
        decoded = manifest.decode(raw)
    except (CorruptError, PolicyError):
        return
    assert manifest.encode(decoded) == raw


@FEW
@given(raw=st.binary(max_size=200))
@example(b"\xc1")
@example(b"\x91" * 100_000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc7\x00\xff")
def test_any_bytes_are_canonical_or_corrupt(raw: bytes) -> None:
    try:
        value = canonical.decode(raw, limit=limits.ROOT_BYTES, what="root")
    except CorruptError:
        return
    assert canonical.encode(value) == raw == forge.pack(value)


@FEW
@given(raw=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_no_envelope(raw: bytes) -> None:
    with pytest.raises(NotTrustedError):
        envelope.decode(raw)


@FEW
@given(mutate=mutations)
def test_a_mutated_envelope_is_refused_or_in_its_one_form(mutate: Mutation, target: Target) -> None:
    (file,) = target.depot.rglob("*.dsse")
    raw = mutate(file.read_bytes())
    try:
        decoded = envelope.decode(raw)
    except NotTrustedError:
        return
    assert envelope.encode(decoded) == raw


@FEW
@given(mutate=mutations)
def test_a_mutated_root_is_refused_whatever_its_fingerprint(mutate: Mutation, site: Site) -> None:
    raw, envelopes = pinned_root.read_root_files(site.root)
    changed = mutate(raw)
    if changed == raw:
        return
    with pytest.raises((CorruptError, NotTrustedError)):
        trust.accept_root(changed, envelopes, site.fingerprint)
    with pytest.raises((CorruptError, NotTrustedError)):
        trust.accept_root(changed, envelopes, root.fingerprint(changed))


@FEW
@given(mutate=mutations)
def test_a_mutated_root_that_is_signed_is_refused_or_well_formed(
    mutate: Mutation, site: Site
) -> None:
    raw = mutate(site.root.read_bytes())
    signer = forge.load_signer(site.folder / "site.key")
    envelopes = list(forge.sign(raw, signer, role="root").values())
    try:
        accepted = trust.accept_root(raw, envelopes, root.fingerprint(raw))
    except (CorruptError, NotTrustedError):
        return
    assert root.encode(accepted.value) == raw


@FEW
@given(spki=st.binary(max_size=120), mutate=mutations)
def test_any_bytes_are_a_key_in_its_one_form_or_unusable(
    spki: bytes, mutate: Mutation, target: Target
) -> None:
    for raw in (spki, mutate(target.signer.key.spki)):
        for algorithm in root.ALGORITHMS:
            try:
                public = public_keys.check_key(root.Key(raw, algorithm))
            except NotTrustedError:
                continue
            assert public_keys.make_key(public).spki == raw


@FEW
@given(signature=st.binary(max_size=150))
def test_no_other_bytes_are_a_signature(signature: bytes, target: Target) -> None:
    assert not public_keys.verifies(target.signer.key, signature, b"message")


@FEW
@given(block=st.binary(min_size=512, max_size=512), mutate=mutations)
def test_any_block_is_the_one_header_of_its_name_or_corrupt(block: bytes, mutate: Mutation) -> None:
    for raw in (block, mutate(tar.make_header("packs/aa/x.pack", 5))):
        try:
            parsed = tar.parse_header(raw)
        except CorruptError:
            continue
        assert raw == (bytes(512) if parsed is None else tar.make_header(*parsed))


def test_files_made_of_parts_of_good_ones_are_refused(target: Target) -> None:
    # Whole 512-byte blocks moved, doubled and left out: the tar stays readable for longer.
    raw = target.archive.read_bytes()
    blocks = [raw[at : at + 512] for at in range(0, len(raw), 512)]
    shuffle = random.Random(2)  # noqa: S311  (the same at every run)
    path = target.scratch / "blocks.airgap"
    for _ in range(200):
        chosen = [shuffle.choice(blocks) if shuffle.random() < 0.1 else one for one in blocks]
        if chosen == blocks:
            continue
        forge.put(path, b"".join(chosen))
        kinds = {"corrupt", "not-trusted", "missing"}
        assert outcome(path, target.root) in kinds, base64.b64encode(b"".join(chosen))
