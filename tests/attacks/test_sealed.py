"""A stick that is lost, exchanged or forged: what is sealed stays closed (format §34)."""

import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    NotTrustedError,
    StorageError,
)
from airgap.format import age_header, canonical, layout, limits
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format.age_header import AgeHeaderError, Stanza
from airgap.format.manifest import Manifest
from airgap.format.seal import Seal, decode_seal, encode_seal
from airgap.sealing import identity_files
from airgap.sealing.age_file import AgePayloadError, decrypt, encrypt
from airgap.sealing.age_keys import generate_identity
from tests.support import refusals, sealing, second_verifier, signers, stores
from tests.support.faults import Fault, Launcher
from tests.support.sealing import SECRETS, SealedSite
from tests.support.sides import Side


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> SealedSite:
    made = sealing.make_sealed_site(tmp_path_factory.mktemp("sealed") / "site")
    label = ("--label", "project=classified", "--channel", "secret-shop", "--audience", "ward")
    assert made.export("-o", made.top / "depot", *label).code == 0
    stores.add_model(made.connected, "secret-other:v1", {"weights.bin": b"other"})
    words = ("export", "--model", "secret-other:v1", "-o", made.top / "other", "--seal")
    assert made.connected.run(*words, "--key", made.key, "--audience", "ward").code == 0
    return made


@pytest.fixture
def depot(ward: SealedSite, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ward.top / "depot", tmp_path / "depot"))


@pytest.fixture
def isolated(ward: SealedSite, tmp_path: Path) -> Side:
    side = Side(tmp_path / "isolated")
    shutil.copytree(ward.isolated.top, side.top)
    return side


def read_index(depot: Path) -> Manifest:
    (folder,) = (depot / "bundles").iterdir()
    return manifests.decode((folder / "manifest.msgpack").read_bytes())


def sign_index(depot: Path, index: Manifest) -> None:
    """Put another index in place of the one there, signed by the builder: the worst of senders."""
    shutil.rmtree(depot / "bundles")
    raw = manifests.encode(index)
    folder = depot / "bundles" / manifests.bundle_id(raw)
    folder.mkdir(parents=True)
    signer = signers.person("bob")
    envelope = dsse.encode(signer.sign("builder", raw))
    (folder / layout.envelope_file("builder", signer.key.id)).write_bytes(envelope)
    (folder / "manifest.msgpack").write_bytes(raw)


def replace_pack(depot: Path, index: Manifest, number: int, data: bytes) -> Manifest:
    """Put another file in place of a pack, and say so in the index."""
    digest = hashlib.sha256(data).digest()
    path = depot / layout.pack_name(digest)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    packs = list(index.packs)
    packs[number] = replace(packs[number], digest=digest, size=len(data))
    beginnings = [index.chunks.digest(at) for at in range(len(packs))]
    beginnings[number] = hashlib.sha256(data[:1024]).digest()
    chunks = replace(index.chunks, digests=b"".join(beginnings))
    return replace(index, packs=tuple(packs), chunks=chunks)


def read_pack(depot: Path, index: Manifest, number: int) -> bytes:
    return (depot / layout.pack_name(index.packs[number].digest)).read_bytes()


def expect_refused(
    ward: SealedSite, side: Side, depot: Path, error: type[AirgapError], text: str
) -> None:
    words = ("import", depot, "--identity", ward.identity)
    told = refusals.expect_refusal(side, *words, error=error, staging=True)
    assert text in told.json["error"]["message"]


def test_the_seal_of_another_bundle_is_not_signed_with_this_index(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    (folder,) = (depot / "bundles").iterdir()
    index, other = read_index(depot), read_index(ward.top / "other")
    raw = manifests.encode(replace(index, sealed=other.sealed))
    (folder / "manifest.msgpack").write_bytes(raw)
    folder.rename(folder.with_name(manifests.bundle_id(raw)))
    expect_refused(ward, isolated, depot, NotTrustedError, "")


def test_an_index_with_the_seal_of_another_bundle_is_refused(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    index, other = read_index(depot), read_index(ward.top / "other")
    assert index.sealed
    assert other.sealed
    changed = replace(index, sealed=replace(index.sealed, seal=other.sealed.seal))
    sign_index(depot, changed)
    expect_refused(ward, isolated, depot, CorruptError, "holds another bundle")
    sign_index(depot, replace(index, sealed=other.sealed))
    expect_refused(ward, isolated, depot, CorruptError, "does not fit the bundle inside")


def test_an_index_that_promises_another_audience_than_the_bundle_is_refused(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    sign_index(depot, replace(read_index(depot), audience=()))
    expect_refused(ward, isolated, depot, CorruptError, "does not fit the bundle inside")


def test_swapped_packs_are_refused_with_the_old_index_and_with_a_signed_one(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    index = read_index(depot)
    first, second = (depot / layout.pack_name(pack.digest) for pack in index.packs)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    expect_refused(ward, isolated, depot, CorruptError, "")
    first.write_bytes(one)
    second.write_bytes(two)
    changed = replace_pack(depot, replace_pack(depot, index, 0, two), 1, one)
    sign_index(depot, changed)
    expect_refused(ward, isolated, depot, CorruptError, "")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: -(65536 + 16)],
        lambda data: data[:-1],
        lambda data: data + bytes(1),
        lambda data: data + data[-(65536 + 16) :],
    ],
    ids=["the last chunk is missing", "a byte is missing", "a byte more", "a chunk more"],
)
def test_an_encrypted_pack_of_another_length_is_not_decrypted(
    change: object, ward: SealedSite, depot: Path, isolated: Side
) -> None:
    assert callable(change)
    index = read_index(depot)
    sign_index(depot, replace_pack(depot, index, 0, change(read_pack(depot, index, 0))))
    expect_refused(ward, isolated, depot, CorruptError, "after its header (expected")


def test_a_stream_that_lost_its_last_chunk_or_goes_on_is_refused() -> None:
    identity = generate_identity(post_quantum=False)
    file = bytes(encrypt([bytes(200_000)], [identity.recipient]))
    last = 200_000 % 65536 + 16
    for changed in (file[:-last], file + bytes(1), file[:-1], file + file[-last:]):
        with pytest.raises(AgePayloadError):
            decrypt(changed, [identity], limit=limits.PACK_BYTES)


def test_the_padding_of_a_pack_is_zeros(ward: SealedSite, depot: Path, isolated: Side) -> None:
    index = read_index(depot)
    (secret,) = identity_files.read_identities([str(ward.identity)])
    assert index.sealed
    seal = decode_seal(decrypt(index.sealed.seal, [secret], limit=limits.SEAL_BYTES))
    (path := depot / "epoch").write_text(seal.epoch)
    path.chmod(0o600)
    (epoch,) = identity_files.read_identities([str(path)])
    plain = bytearray(decrypt(read_pack(depot, index, 0), [epoch], limit=limits.PACK_BYTES))
    plain[-1] = 1
    forged = bytes(encrypt([bytes(plain)], [epoch.recipient]))
    sign_index(depot, replace_pack(depot, index, 0, forged))
    expect_refused(ward, isolated, depot, CorruptError, "other padding than zeros")


def test_a_stranger_with_another_identity_opens_nothing(
    ward: SealedSite, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    secret, _, _ = identity_files.generate(tmp_path / "stranger", "stranger", post_quantum=True)
    told = refusals.expect_refusal(
        isolated, "import", depot, "--identity", secret, error=ConfigurationError
    )
    assert "the 1 identity given cannot decrypt it" in told.json["error"]["message"]
    del ward


def test_an_identity_that_others_can_read_is_not_used(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    secret, _, _ = identity_files.generate(tmp_path / "keys", "ward", post_quantum=False)
    secret.chmod(0o644)
    refusals.expect_refusal(isolated, "import", depot, "--identity", secret, error=StorageError)


def test_a_header_of_a_million_recipients_stops_at_its_limit() -> None:
    identity = generate_identity(post_quantum=False)
    stanza = b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n"
    header = b"age-encryption.org/v1\n" + stanza * 1_000_000
    with pytest.raises(AgeHeaderError, match="longer than 65,536 bytes"):
        decrypt(header, [identity], limit=limits.PACK_BYTES)


@pytest.mark.parametrize("post_quantum", [True, False])
def test_a_share_of_low_order_is_refused(*, post_quantum: bool) -> None:
    identity = generate_identity(post_quantum=post_quantum)
    share = bytes(1088 if post_quantum else 0) + bytes(32)
    kind = identity.recipient.kind
    stanza = Stanza(kind, (age_header.encode_base64(share),), bytes(32))
    file = age_header.seal_header(age_header.encode((stanza,)), bytes(32)) + bytes(32)
    with pytest.raises(AgeHeaderError, match="low order"):
        decrypt(file, [identity], limit=limits.PACK_BYTES)


def test_an_index_does_not_hide_a_recipient(ward: SealedSite, depot: Path, isolated: Side) -> None:
    index = read_index(depot)
    assert index.sealed
    sign_index(depot, replace(index, sealed=replace(index.sealed, recipients=1)))
    message = "names 1 recipients, and its seal has 2"
    expect_refused(ward, isolated, depot, CorruptError, message)
    assert message in isolated.run("verify", depot).err
    root = ward.top / f"pinned-{ward.isolated.top.name}" / "root.msgpack"
    fingerprint = f"SHA256:{hashlib.sha256(root.read_bytes()).hexdigest()}"
    assert second_verifier.verify(depot, root, fingerprint)[0] == CorruptError.kind


def test_a_sealed_bundle_inside_a_sealed_one_is_refused(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    index = read_index(depot)
    (secret,) = identity_files.read_identities([str(ward.identity)])
    assert index.sealed
    seal = decode_seal(decrypt(index.sealed.seal, [secret], limit=limits.SEAL_BYTES))
    raw = manifests.encode(index)
    envelope = dsse.encode(signers.person("bob").sign("builder", raw))
    name = layout.envelope_file("builder", signers.person("bob").key.id)
    nested = replace(seal, manifest=raw, files={name: envelope})
    commitment = hashlib.sha256(seal.salt + hashlib.sha256(raw).digest()).digest()
    file = bytes(encrypt([encode_seal(nested)], [secret.recipient]))
    sealed = replace(index.sealed, recipients=1, seal=file, commitment=commitment)
    sign_index(depot, replace(index, sealed=sealed))
    expect_refused(ward, isolated, depot, CorruptError, "a sealed bundle inside a sealed one")


def seal_again(ward: SealedSite, depot: Path, change: Callable[[Seal], Seal]) -> None:
    """Put another seal around what is inside; a builder of the site signs the index of it."""
    index = read_index(depot)
    (secret,) = identity_files.read_identities([str(ward.identity)])
    assert index.sealed
    seal = decode_seal(decrypt(index.sealed.seal, [secret], limit=limits.SEAL_BYTES))
    file = bytes(encrypt([encode_seal(change(seal))], [secret.recipient]))
    sign_index(depot, replace(index, sealed=replace(index.sealed, recipients=1, seal=file)))


def sign_inner(seal: Seal, name: str, claimed: str = "", other: bytes = b"") -> Seal:
    """Let somebody sign what is inside, perhaps in another's name, or something else."""
    signer = signers.person(name)
    envelope = signer.sign("builder", other or seal.manifest)
    key_id = signers.person(claimed or name).key.id
    envelope = replace(envelope, key_id=key_id)
    return replace(seal, files={layout.envelope_file("builder", key_id): dsse.encode(envelope)})


FORGERIES: dict[str, tuple[Callable[[Seal], Seal], str]] = {
    "nobody": (lambda seal: replace(seal, files={}), "0 of the 1 builder signatures"),
    "a stranger": (lambda seal: sign_inner(seal, "mal"), "0 of the 1 builder signatures"),
    "a recorder": (lambda seal: sign_inner(seal, "ray"), "0 of the 1 builder signatures"),
    "a stranger in the builder's name": (
        lambda seal: sign_inner(seal, "mal", "bob"),
        "does not match the document",
    ),
    "a builder, over something else": (
        lambda seal: sign_inner(seal, "bob", other=b"other"),
        "does not match the document",
    ),
}
"""Who signed what is inside, and why it is refused."""


@pytest.mark.parametrize("by", FORGERIES)
def test_what_is_inside_is_judged_by_all_rules_of_the_site(
    ward: SealedSite, depot: Path, isolated: Side, by: str
) -> None:
    """The builder's signature over the index says nothing of what somebody else put inside."""
    change, why = FORGERIES[by]
    seal_again(ward, depot, change)
    expect_refused(ward, isolated, depot, NotTrustedError, why)


def test_what_a_builder_signed_inside_is_taken(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    """The forgeries above fail for their signature, and not for the new seal around it."""
    seal_again(ward, depot, lambda seal: sign_inner(seal, "bob"))
    assert isolated.run("import", depot, "--identity", ward.identity).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("verify",),
        ("import", "--dry-run"),
        ("scan",),
        ("diff", "OTHER"),
        ("export", "secret-shop:v1", "-o", "NEW", "--base"),
        ("bom",),
        ("rehearse",),
    ],
    ids=lambda words: words[0],
)
def test_nothing_else_uses_what_strangers_signed_inside(
    ward: SealedSite, depot: Path, isolated: Side, words: tuple[str, ...]
) -> None:
    """A reader that installs nothing asks for the builders' signatures as well (format §34.5)."""
    seal_again(ward, depot, FORGERIES["a stranger"][0])
    side = ward.connected if words[0] == "export" else isolated
    named = {"OTHER": ward.top / "depot", "NEW": isolated.top / "new"}
    command = [named.get(word, word) for word in words]
    if words[0] == "export":
        command += [depot, "--key", ward.key]
    else:
        command.insert(1, depot)
    ran = side.run(*command, "--identity", ward.identity, "--json")
    assert ran.code == NotTrustedError.exit_code, (ran.out, ran.err)
    assert "0 of the 1 builder signatures" in ran.out + ran.err


def test_a_tag_that_strangers_signed_inside_is_marked_and_not_pulled(
    ward: SealedSite, depot: Path, isolated: Side
) -> None:
    opened = ("--identity", ward.identity)
    assert "NOT TRUSTED" not in isolated.run("get", "secret-shop", depot, *opened).out
    seal_again(ward, depot, FORGERIES["a stranger"][0])
    assert isolated.run("get", "secret-shop", depot, *opened).out.startswith("NOT TRUSTED: ")
    expect = ("pull", "secret-shop", depot, *opened)
    refusals.expect_refusal(isolated, *expect, error=NotTrustedError, staging=True)


def test_a_lost_stick_shows_its_finder_what_the_format_lists_and_nothing_else(
    ward: SealedSite, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    words = ("secret-shop:v1", "--seal", "--key", ward.key, "--channel", "secret-shop")
    labels = ("--label", "project=classified", "--expires", "90d", "--parity", "50%")
    options = (*words, *labels, "--volume-size", "8MB", "-o", stick)
    assert ward.connected.run("export", *options).code == 0
    plain = ("secret-shop:v1", "-o", tmp_path / "plain", "--key", ward.key)
    assert ward.connected.run("export", *plain).code == 0
    hidden = [name.encode() for name in SECRETS]
    for file in (tmp_path / "plain").rglob("*.pack"):  # neither digests, nor bytes, nor sizes
        hidden += [file.stem.encode(), bytes.fromhex(file.stem), file.read_bytes()[:32]]
    files = [path for path in stick.rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        data = path.read_bytes()
        assert not [one for one in (*hidden, b"AGE-SECRET") if one in data], path
    raw = next(stick.rglob("manifest.msgpack")).read_bytes()
    shown = canonical.decode(raw, limit=len(raw), what="index")
    sealed = shown.pop("sealed")
    assert set(sealed) == {"commitment", "recipients", "seal"}
    assert sealed["recipients"] == 2
    assert shown.pop("created_at") % 86_400 == 0
    for key in ("chunks", "blocks", "packs"):
        shown.pop(key)
    assert shown.pop("tool").startswith("airgap ")
    assert shown == {
        "audience": [],
        "channel": "sealed",
        "expires_at": None,
        "format": 1,
        "hash": "sha256",
        "items": [],
        "reader": 3,
        "sequence": 0,
    }


def test_a_site_without_an_escrow_is_noted_when_it_is_sealed_to(tmp_path: Path) -> None:
    ward = sealing.make_sealed_site(tmp_path / "site", escrow=False, post_quantum=False)
    ran = ward.export("-o", tmp_path / "depot")
    assert ran.code == 0
    assert "names no escrow: if the identities of ward are lost" in ran.err


class _Written:
    """Paths that this process opened for writing."""

    paths: set[str] | None = None

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.paths is None or event != "open":
            return
        path, _, flags = arguments
        if isinstance(path, str) and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
            self.paths.add(os.path.realpath(path))


_WRITTEN = _Written()


@pytest.fixture
def written() -> _Written:
    if not hasattr(_Written, "hooked"):  # a hook cannot be taken away
        sys.addaudithook(_WRITTEN)
        _Written.hooked = True  # type: ignore[attr-defined]
    return _WRITTEN


def find_plain(top: Path, canary: bytes) -> list[Path]:
    """Return the files below a folder that have some bytes of the model."""
    files = [path for path in top.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    return [path for path in files if canary in path.read_bytes()]


def test_plain_text_is_written_to_staging_and_nowhere_else(
    ward: SealedSite, depot: Path, isolated: Side, written: _Written
) -> None:
    written.paths = set()
    try:
        ran = isolated.run("import", depot, "--identity", ward.identity)
    finally:
        paths, written.paths = written.paths, None
    assert ran.code == 0, ran.err
    outside = [path for path in paths if not path.startswith(str(isolated.top))]
    assert [path for path in outside if path != os.devnull] == []
    model = isolated.bentoml / "models/secret-ranker/v1/weights.bin"
    assert find_plain(isolated.top, model.read_bytes()[:64]) == [model]


def test_a_kill_leaves_plain_text_in_staging_and_nowhere_else(
    ward: SealedSite, depot: Path, isolated: Side, launcher: Launcher, tmp_path: Path
) -> None:
    weights = (ward.connected.bentoml / "models/secret-ranker/v1/weights.bin").read_bytes()
    words = ("import", depot, "--identity", ward.identity, "--jobs", "1")
    count = len(launcher.run(isolated, *words, fault=Fault()).steps)
    seen = 0
    for step in range(count // 4, count, max(1, count // 4)):
        side = Side(tmp_path / f"killed-{step}")
        shutil.copytree(ward.isolated.top, side.top)
        launcher.run(side, *words, fault=Fault(at=step))
        plain = find_plain(side.top, weights[:64])
        seen += len(plain)
        allowed = (side.bentoml / ".airgap", side.bentoml / "models")
        assert all(any(path.is_relative_to(top) for top in allowed) for path in plain)
        assert side.run(*words).code == 0
    assert seen
