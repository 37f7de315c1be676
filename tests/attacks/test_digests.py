"""Threat model, digests: SHA-256 and nothing else, of the right length, everywhere."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, UsageError
from tests.support import forge, refusals
from tests.support.forge import Draft, File, Forge
from tests.support.sides import Side, Site


def called(name: object) -> Callable[[Draft], None]:
    return lambda made: made.manifest.update(hash=name)


def entry_digest(digest: bytes) -> Callable[[Draft], None]:
    def change(made: Draft) -> None:
        made.entry("weights.bin")["digest"] = digest
        made.digest_items()

    return change


def item_digest(digest: bytes) -> Callable[[Draft], None]:
    return lambda made: made.manifest["items"][0].update(digest=digest)


def column(table: str, key: str, change: Callable[[bytes], bytes]) -> Callable[[Draft], None]:
    def apply(made: Draft) -> None:
        made.manifest[table][key] = change(made.manifest[table][key])

    return apply


CHANGES: dict[str, Callable[[Draft], None]] = {
    **{
        f"called {name!r}": called(name)
        for name in (
            *("md5", "sha1", "sha224", "sha384", "sha512", "sha3-256", "blake3", "SHA256"),
            *("sha-256", "sha256 ", "none", "", 256, None, ["sha256"], b"sha256"),
        )
    },
    **{
        f"of {name} for a file": entry_digest(hashlib.new(name, b"w").digest())
        for name in ("md5", "sha1", "sha224", "sha384", "sha512")
    },
    **{f"of {size} bytes for a file": entry_digest(bytes(size)) for size in (0, 31, 33)},
    **{f"of {size} bytes for an item": item_digest(bytes(size)) for size in (0, 16, 31, 33)},
    "of another item": item_digest(bytes(32)),
    "of a chunk a byte short": column("chunks", "digests", lambda raw: raw[:-1]),
    "of a chunk a byte long": column("chunks", "digests", lambda raw: raw + b"\0"),
    "of a chunk too many": column("chunks", "digests", lambda raw: raw + bytes(32)),
    "of a chunk too few": column("chunks", "digests", lambda raw: raw[:-32]),
    "of a pack a byte short": column("packs", "digests", lambda raw: raw[:-1]),
    "of a pack too many": column("packs", "digests", lambda raw: raw + bytes(32)),
    "of no pack": column("packs", "digests", lambda _: b""),
    "of a chunk twice": column("chunks", "digests", lambda raw: raw[:32] * 2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_is_refused_with_a_digest(name: str, forged: Forge, isolated: Side) -> None:
    made = forge.draft(forge.model({"weights.bin": b"w"}))
    CHANGES[name](made)

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


def test_a_file_that_is_not_what_its_signed_digest_says_is_refused(
    forged: Forge, isolated: Side
) -> None:
    chunks = (b"first", b"second")
    for number, content in enumerate(
        (File(chunks[:1], digest=bytes(32)), File(chunks, digest=bytes(32)))
    ):
        depot = forged.depot(forge.draft(forge.model({f"weights{number}.bin": content})))

        refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)
        refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)


def test_an_empty_file_has_the_digest_of_nothing(forged: Forge, isolated: Side) -> None:
    depot = forged.depot(forge.draft(forge.model({"empty": File((), digest=bytes(32))})))

    refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)
    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)


def test_a_file_whose_chunks_come_in_another_order_is_digested_as_well(
    forged: Forge, isolated: Side
) -> None:
    entries = {
        "a": File((b"first", b"second")),
        "b": File((b"second", b"first"), digest=bytes(32)),
    }
    depot = forged.depot(forge.draft(forge.model(entries)))

    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)


def test_a_chunk_that_is_not_what_its_signed_digest_says_is_refused(
    forged: Forge, isolated: Side
) -> None:
    made = forge.draft(forge.model({"weights.bin": b"w" * 50}))
    wrong = bytes(32)
    digests = made.manifest["chunks"]["digests"]
    made.manifest["chunks"]["digests"] = digests[:32] + wrong
    made.entry("weights.bin")["digest"] = wrong
    depot = forged.depot(made.digest_items())

    refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)
    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha512"])
def test_a_bundle_is_named_by_nothing_but_its_sha256(
    name: str, forged: Forge, isolated: Side
) -> None:
    made = forge.draft(forge.model({"weights.bin": b"w"}))
    raw = made.raw()
    other = hashlib.new(name, raw).hexdigest()
    files = forge.members(raw, forge.sign(raw, forged.signer), made.packs, bundle=other)
    depot = forge.write_depot(forged.folder / "other", files)

    refusals.expect_refusal(isolated, "import", depot, error=MissingError)
    (forged.folder / "other.airgap").write_bytes(forge.tar(files))
    refusals.expect_refusal(isolated, "import", forged.folder / "other.airgap", error=CorruptError)


@pytest.mark.parametrize(
    "fingerprint",
    [
        "",
        "SHA256:",
        "MD5:d41d8cd98f00b204e9800998ecf8427e",
        "SHA1:{hex}",
        "SHA512:{hex}",
        "SHA256:{hex}00",
        "SHA256:{short}",
        "SHA256:{star}",
        "SHA256::{hex}",
    ],
)
def test_a_root_is_pinned_by_nothing_but_its_sha256(
    fingerprint: str, site: Site, tmp_path: Path
) -> None:
    side = Side(tmp_path / "new")
    side.top.mkdir()
    digits = site.fingerprint.removeprefix("SHA256:")
    given = fingerprint.format(hex=digits, short=digits[:-1], star=digits[:-1] + "*")

    command = ("trust", "init", site.root, "--fingerprint", given)

    refusals.expect_refusal(side, *command, error=UsageError)
