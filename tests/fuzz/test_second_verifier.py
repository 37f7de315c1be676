"""Two verifiers, one verdict: whatever is changed, docs/verify.py says what airgap says."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import AirgapError
from airgap.format import canonical, limits
from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.signing import trust
from airgap.signing.public_keys import CURVES
from airgap.signing.signer import Signer
from tests.support import closure_items, forge, second_verifier, sides, stores
from tests.support.forge import File, Folder, Link
from tests.support.mutations import FEW, Mutation, leaves, mutations, values
from tests.support.sides import Site

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")

CLOSURE_ITEMS = (
    closure_items.files({"content/a": b"1"}),
    closure_items.wheelhouse(),
    closure_items.image(),
)
FEWER = settings(FEW, max_examples=int(os.environ.get("AIRGAP_EXAMPLES", "30")))


@dataclass(frozen=True)
class Bench:
    """A small signed bundle in both forms, and its site's root, to be changed."""

    folder: Path
    site: Site
    signer: Signer
    depot: Path
    archive: Path

    def agree(self, location: Path, root: Path | None = None, fingerprint: str = "") -> str:
        """Let both judge; return what they agree on."""
        root, fingerprint = root or self.site.root, fingerprint or self.site.fingerprint
        ours = _verdict(location, root, fingerprint)
        theirs, printed = second_verifier.verify(location, root, fingerprint)
        assert theirs == ours, printed
        return ours


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return _bench(tmp_path_factory.mktemp("second"), "ed25519")


def _bench(folder: Path, algorithm: str) -> Bench:
    site = sides.make_site(folder / "site", algorithm=algorithm)
    signer = forge.load_signer(site.key())
    made = forge.draft(
        forge.model(
            {"w.bin": stores.noise(200), "two": File((b"a" * 50, b"b")), "l": Link("w.bin")}
        ),
        forge.bento({"empty": b"", "folder": Folder()}),
    )
    ours = forge.Forge(folder, signer)
    return Bench(folder, site, signer, ours.depot(made), ours.archive(made))


def _verdict(location: Path, root: Path, fingerprint: str) -> str:
    """Do what a machine does that has pinned this root and verifies this place."""
    stem = root.name.partition(".")[0]
    envelopes = [one.read_bytes() for one in sorted(root.parent.glob(f"{stem}.*.dsse"))]
    try:
        trusted = trust.accept_root(root.read_bytes(), envelopes, fingerprint)
        forge.verify_in_process(location, trusted)
    except AirgapError as error:
        return error.kind
    return "accepted"


def test_they_agree_before_anything_is_changed(bench: Bench) -> None:
    assert bench.agree(bench.depot) == bench.agree(bench.archive) == "accepted"


@pytest.mark.parametrize("pattern", ["manifest.msgpack", "*.dsse", "*.pack"])
def test_they_agree_on_a_changed_file_of_a_depot(pattern: str, bench: Bench) -> None:
    depot = bench.folder / "changed"
    shutil.rmtree(depot, ignore_errors=True)
    shutil.copytree(bench.depot, depot)
    (file,) = depot.rglob(pattern)
    raw = file.read_bytes()

    @FEWER
    @given(mutations)
    def check(mutate: Mutation) -> None:
        forge.put(file, mutate(raw))
        bench.agree(depot)

    check()


def test_they_agree_on_a_changed_single_file(bench: Bench) -> None:
    raw, path = bench.archive.read_bytes(), bench.folder / "changed.airgap"

    @FEWER
    @given(mutations)
    def check(mutate: Mutation) -> None:
        forge.put(path, mutate(raw))
        bench.agree(path)

    check()


def _changed(raw: bytes, value: object, data: st.DataObject) -> Any:  # noqa: ANN401
    tree = canonical.decode(raw, limit=limits.MANIFEST_BYTES, what="document")
    data.draw(st.sampled_from(leaves(tree)))(value)
    return tree


def test_they_agree_on_any_value_in_a_signed_manifest(bench: Bench) -> None:
    (file,) = bench.depot.rglob("manifest.msgpack")
    packs = [one.read_bytes() for one in bench.depot.rglob("*.pack")]

    @FEWER
    @given(values, st.data())
    def check(value: object, data: st.DataObject) -> None:
        tree = _changed(file.read_bytes(), value, data)
        for item in tree["items"] if isinstance(tree["items"], list) else ():
            if isinstance(item, dict) and isinstance(item.get("entries"), list):
                try:
                    item["digest"] = forge.item_digest(item)
                except (AttributeError, KeyError, TypeError):
                    continue
        raw = canonical.encode(tree)
        path = bench.folder / "signed.airgap"
        forge.put(path, forge.tar(forge.members(raw, forge.sign(raw, bench.signer), packs)))
        bench.agree(path)

    check()


@pytest.mark.parametrize("item", CLOSURE_ITEMS, ids=lambda item: str(item.kind))
def test_they_agree_on_files_wheelhouses_and_images(item: forge.Item, bench: Bench) -> None:
    path = bench.folder / "closure.airgap"

    def agree(item: forge.Item, reader: int) -> str:
        made = forge.draft(item, reader=reader)
        raw = made.raw()
        forge.put(path, forge.tar(forge.members(raw, forge.sign(raw, bench.signer), made.packs)))
        return bench.agree(path)

    assert agree(item, 2) == "accepted"
    assert agree(item, 1) == "corrupt"
    assert agree(item, 3) == "policy"
    for version in ("v1", item.version.upper() + "A", item.version + "0" * 8, "latest"):
        assert agree(replace(item, version=version), 2) == "corrupt"
    assert agree(replace(item, entries={"content/a": b""}), 2) == "corrupt"


@pytest.mark.parametrize("completes", [None, b"1" * 31, b"1" * 32])
def test_they_agree_on_any_labels(completes: bytes | None, bench: Bench) -> None:
    names = st.sampled_from(["classification", "a.b", "latest", "Project", "n" * 64]) | st.text()
    texts = st.sampled_from(["open", "x" * 128, "x" * 129, " x", "u\u0308"]) | st.text() | values
    fields: dict[str, object] = {} if completes is None else {"completes": completes}

    @FEWER
    @given(st.dictionaries(names, texts, max_size=4) | values, st.integers(0, 3), st.booleans())
    def check(labels: object, reader: int, are_there: bool) -> None:  # noqa: FBT001
        made = forge.draft(forge.model({"w.bin": b"w"}), reader=reader, **fields)
        if are_there:
            made.manifest["labels"] = labels
        raw, path = canonical.encode(made.manifest), bench.folder / "labels.airgap"
        forge.put(path, forge.tar(forge.members(raw, forge.sign(raw, bench.signer), made.packs)))
        bench.agree(path)

    check()


def test_they_agree_on_any_bytes_in_a_signed_manifest(bench: Bench) -> None:
    (file,) = bench.depot.rglob("manifest.msgpack")
    packs = [one.read_bytes() for one in bench.depot.rglob("*.pack")]

    @FEWER
    @given(mutations, mutations)
    def check(mutate: Mutation, again: Mutation) -> None:
        raw = again(mutate(file.read_bytes()))
        path = bench.folder / "signed.airgap"
        forge.put(path, forge.tar(forge.members(raw, forge.sign(raw, bench.signer), packs)))
        bench.agree(path)

    check()


def test_they_agree_on_how_a_signed_block_is_stored(bench: Bench) -> None:
    plain = b"the same words, again and again\n" * 40
    made = forge.stored_block(plain, plain, codec=0)
    frame = b"\x28\xb5\x2f\xfd\x60" + (len(plain) - 256).to_bytes(2, "little")
    frame += (len(plain) << 3 | 1).to_bytes(3, "little") + plain
    path = bench.folder / "block.airgap"

    @FEWER
    @given(mutations, st.integers(0, 3))
    def check(mutate: Mutation, codec: int) -> None:
        stored = mutate(frame if codec else plain)
        changed = forge.stored_block(stored, plain, codec=codec) if stored else made
        raw = changed.raw()
        signed = forge.members(raw, forge.sign(raw, bench.signer), changed.packs)
        forge.put(path, forge.tar(signed))
        ours = _verdict(path, bench.site.root, bench.site.fingerprint)
        theirs, printed = second_verifier.verify(path, bench.site.root, bench.site.fingerprint)
        decoded = "2 of 2 files compared" in printed or theirs != "accepted"
        assert theirs == ours or not decoded, printed

    check()


def test_they_agree_on_any_value_in_a_signed_root(bench: Bench) -> None:
    tree = canonical.decode(bench.site.root.read_bytes(), limit=limits.ROOT_BYTES, what="root")
    tree["revoked_bundles"] = [bytes(32), b"1" * 32]
    tree["revoked_keys"] = ["0" * 64, "1" * 64]
    tree["channels"] = {"default": {"minimum_sequence": 0}, "weekly": {"minimum_sequence": 3}}
    tree["not_after"] = 4_000_000_000
    raw = canonical.encode(tree)
    signer = forge.load_signer(bench.site.folder / "site.key")
    path = bench.folder / "root" / "root.msgpack"
    path.parent.mkdir()

    @FEWER
    @given(values | st.sampled_from(["latest", 0, 1, 32, 2**53 - 1, bytes(32)]), st.data())
    def check(value: object, data: st.DataObject) -> None:
        tree = _changed(raw, value, data)
        changed = canonical.encode(tree)
        forge.put(path, changed)
        ((name, signed),) = forge.sign(changed, signer, role="root").items()
        forge.put(path.with_name(name), signed)
        bench.agree(bench.depot, path, roots.fingerprint(changed))

    check()


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384"])
def test_they_agree_on_any_signature(algorithm: str, tmp_path: Path) -> None:
    bench = _bench(tmp_path, algorithm)
    (file,) = bench.depot.rglob("*.dsse")
    good = dsse.decode(file.read_bytes())
    depot = bench.folder / "signature"
    shutil.copytree(bench.depot, depot)
    order = CURVES[algorithm][2] if algorithm in CURVES else 0

    @FEWER
    @given(mutations | st.just(None))
    def check(mutate: Mutation | None) -> None:
        signature = mutate(good.signature) if mutate else _upper_half(good.signature, order)
        forge.put(depot / file.relative_to(bench.depot), forge.envelope(good.key_id, signature))
        bench.agree(depot)

    check()


def _upper_half(signature: bytes, order: int) -> bytes:
    """Turn an ECDSA signature into the other one that the mathematics allows."""
    if not order:
        return signature
    from cryptography.hazmat.primitives.asymmetric import utils

    r, s = utils.decode_dss_signature(signature)
    return utils.encode_dss_signature(r, order - s)
