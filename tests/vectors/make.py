"""How the vectors were made: ``python -m tests.vectors.make FOLDER``, into a folder of its own.

The keys are made here and thrown away: what is committed cannot be made again. A new version of
the format gets new vectors beside these; these stay (format §13).
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from airgap.codec import table
from airgap.format import manifest
from airgap.signing.signer import Signer
from tests.support import forge, stores
from tests.support.forge import Draft, File, Folder, Item, Link, Verbatim
from tests.support.sides import Side
from tests.vectors.describe import describe

ALGORITHMS = ("ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384")
SITE = "ward"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXT = b"the same words, again and again\n" * 40
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def make(top: Path) -> None:
    """Write all vectors below a folder that is not there yet."""
    top.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        keys = _keys(Path(scratch), top / "root")
        signers = [forge.load_signer(path) for path in keys]
        _exported(Path(scratch), top, keys)
    _handmade(top, signers)
    for name in ("exported", "handmade"):
        (raw,) = (one.read_bytes() for one in (top / name).glob("bundles/*/manifest.msgpack"))
        ids = sorted(one.key.id for one in signers)
        about = {**describe(manifest.decode(raw)), "signed_by": ids}
        (top / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n")
    _bad(top, signers)


def _keys(scratch: Path, root: Path) -> list[Path]:
    """Make a root key and three builders, of whom two must sign; return the builders' keys."""
    side = Side(scratch / "nobody")
    made = ("--dir", scratch, "--no-passphrase")
    for name in ("site", *ALGORITHMS):
        algorithm = "ed25519" if name == "site" else name
        assert side.run("key", "generate", name, *made, "--algorithm", algorithm).code == 0
    root.mkdir()
    for name in ALGORITHMS:
        (root / f"{name}.pub").write_bytes((scratch / f"{name}.pub").read_bytes())
    builders: list[str | Path] = []
    for name in ALGORITHMS:
        builders += ["--builder", root / f"{name}.pub"]
    builders += ["--threshold", "builder=2", "-o", root / "root.msgpack", "--json"]
    key = scratch / "site.key"
    ran = side.run("root", "create", "--site", SITE, "--root-key", key, *builders)
    (root / "fingerprint.txt").write_text(ran.json["fingerprint"] + "\n")
    return [scratch / f"{name}.key" for name in ALGORITHMS]


def _exported(scratch: Path, top: Path, keys: list[Path]) -> None:
    """Let airgap itself export a Bento and its model, in both forms."""
    side = Side(scratch / "connected")
    stores.add_model(side, "ranker:v1", {"weights.bin": stores.noise(600), "words.txt": TEXT})
    files = {"src/service.py": b"print('hello')\n", "Gr\u00fc\u00dfe/\u6587\u4ef6.txt": b"hi\n"}
    bento = stores.add_bento(side, "shop:v1", {**files, "empty": b""}, models=["ranker:v1"])
    (bento / "run.sh").write_bytes(b"#!/bin/sh\n")
    (bento / "run.sh").chmod(0o755)
    (bento / "src" / "link").symlink_to("../run.sh")
    (bento / "data" / "nothing").mkdir(parents=True)
    for location in (top / "exported", top / "exported.airgap"):
        assert side.run("export", "shop:v1", "-o", location, "--key", keys[0]).code == 0
        for key in keys[1:]:
            assert side.run("sign", location, "--key", key).code == 0
    (top / "exported" / "verify.py").unlink()  # not part of the bundle, and code that checks read


def handmade() -> Draft:
    """A bundle with everything that a reader must take and that this version's writer avoids."""
    first, second = b"one chunk, ", b"and another, "
    made = forge.draft(
        forge.model({"twice.txt": File((first, second, first)), "raw.bin": stores.noise(100)}),
        Item("hugging-face", "org--mini", COMMIT, {"words.txt": TEXT, "other.txt": second}),
        forge.bento({"-": b"", "link": Link("sub/../link"), "sub": Folder(), "x.sh": _script()}),
        audience=["attic", SITE],
        channel="weekly",
        created_at=0,
        expires_at=253_402_300_799,
        sequence=2**53 - 1,
    )
    return _repacked(made)


def _script() -> File:
    return File((b"#!/bin/sh\n",), executable=True)


def _repacked(made: Draft) -> Draft:
    """Store the chunks in blocks of two, in two packs, with gaps between the blocks."""
    (plain,) = made.packs
    lengths = made.manifest["chunks"]["lengths"]
    sizes = [int.from_bytes(lengths[at : at + 4], "big") for at in range(0, len(lengths), 4)]
    groups = [sizes[at : at + 2] for at in range(0, len(sizes), 2)]
    compressor = zstandard.ZstdCompressor(level=19, write_checksum=True)
    packs, rows, at = [bytearray(), bytearray()], [], 0
    for number, group in enumerate(groups):
        block = plain[at : at + sum(group)]
        at += len(block)
        small = compressor.compress(block)
        stored = small if len(small) < len(block) else block
        pack = packs[number >= len(groups) // 2]
        pack += b"gap"
        rows.append((len(pack), len(stored), int(stored is small), len(group)))
        pack += stored
    made.packs = [bytes(pack) + b"end" for pack in packs]
    made.manifest["blocks"] = {
        "bases": forge.u32(*[forge.NO_BASE] * len(rows)),
        "chunk_counts": forge.u32(*(row[3] for row in rows)),
        "codecs": bytes(row[2] for row in rows),
        "offsets": forge.u32(*(row[0] for row in rows)),
        "stored_lengths": forge.u32(*(row[1] for row in rows)),
    }
    made.manifest["packs"] = {
        "block_counts": forge.u32(len(groups) // 2, len(groups) - len(groups) // 2),
        "digests": b"".join(map(forge.sha256, made.packs)),
        "sizes": forge.u32(*map(len, made.packs)),
    }
    return made


def _handmade(top: Path, signers: list[Signer]) -> None:
    made = handmade()
    raw = made.raw()
    files = forge.members(raw, forge.sign(raw, *signers), made.packs)
    forge.write_depot(top / "handmade", files)
    padding = ("padding", b"without meaning")
    (top / "handmade.airgap").write_bytes(forge.tar([*files[:4], padding, *files[4:]]))


# The bad ones


@dataclass(frozen=True)
class Bad:
    """One fault: what it is, the kind of error, and the section of docs/format.md."""

    what: str
    kind: str
    section: str
    write: Callable[[list[Signer]], bytes]


def base(**fields: object) -> Draft:
    return forge.draft(forge.model({"a.txt": b"a" * 40, "b.txt": b"b" * 40}), **fields)


def signed(raw: bytes, packs: list[bytes], signers: list[Signer]) -> bytes:
    return forge.tar(forge.members(raw, forge.sign(raw, *signers[:2]), packs))


def change(what: str, section: str, apply: Callable[[Draft], object], kind: str = "corrupt") -> Bad:
    """Make a case whose signed manifest is changed."""

    def write(signers: list[Signer]) -> bytes:
        made = base()
        apply(made)
        return signed(made.raw(), made.packs, signers)

    return Bad(what, kind, section, write)


def top_field(what: str, section: str, kind: str = "corrupt", /, **fields: object) -> Bad:
    return change(what, section, lambda made: made.manifest.update(fields), kind)


def entry_field(what: str, section: str, /, **fields: object) -> Bad:
    def apply(made: Draft) -> None:
        made.entry("a.txt").update(fields)
        made.digest_items()

    return change(what, section, apply)


def column(what: str, section: str, table: str, /, **columns: bytes) -> Bad:
    return change(what, section, lambda made: made.manifest[table].update(columns))


def entries(what: str, section: str, content: dict[str, forge.Content]) -> Bad:
    def write(signers: list[Signer]) -> bytes:
        made = forge.draft(forge.model(content))
        return signed(made.raw(), made.packs, signers)

    return Bad(what, "corrupt", section, write)


def path(what: str, name: str) -> Bad:
    return entries(what, "2.5", {name: b"x"})


def target(what: str, to: str) -> Bad:
    return entries(what, "2.6", {"d/link": Link(to), "d/up": Link("..")})


def item(what: str, section: str, kind: str, name: str, version: str) -> Bad:
    def write(signers: list[Signer]) -> bytes:
        made = forge.draft(Item(kind, name, version, {"x": b"x"}))
        return signed(made.raw(), made.packs, signers)

    return Bad(what, "corrupt", section, write)


def frame(what: str, store: Callable[[bytes], bytes], kind: str = "corrupt", codec: int = 1) -> Bad:
    """Make a case whose second block is stored in a certain way."""

    def write(signers: list[Signer]) -> bytes:
        made = forge.stored_block(store(zstandard.compress(TEXT)), TEXT, codec=codec)
        return signed(made.raw(), made.packs, signers)

    return Bad(what, kind, "5.3" if codec == table.PLANES else "5.2", write)


def raw_manifest(what: str, section: str, edit: Callable[[bytes], bytes]) -> Bad:
    def write(signers: list[Signer]) -> bytes:
        made = base()
        return signed(edit(made.raw()), made.packs, signers)

    return Bad(what, "corrupt", section, write)


def envelopes(
    what: str, section: str, edit: Callable[[bytes, list[Signer]], dict[str, bytes]]
) -> Bad:
    def write(signers: list[Signer]) -> bytes:
        made = base()
        raw = made.raw()
        return forge.tar(forge.members(raw, edit(raw, signers), made.packs))

    return Bad(what, "not-trusted", section, write)


def archive(what: str, section: str, edit: Callable[[bytes], bytes], kind: str = "corrupt") -> Bad:
    def write(signers: list[Signer]) -> bytes:
        made = base()
        return edit(signed(made.raw(), made.packs, signers))

    return Bad(what, kind, section, write)


def reencoded(raw: bytes, signers: list[Signer], old: str, new: str) -> dict[str, bytes]:
    """Change the text of the first envelope."""
    made = forge.sign(raw, *signers[:2])
    name = next(iter(made))
    return {**made, name: made[name].decode().replace(old, new).encode()}


def upper_half(raw: bytes, signers: list[Signer]) -> dict[str, bytes]:
    made = forge.sign(raw, signers[0])
    key = signers[1].key.id
    r, s = decode_dss_signature(signers[1].sign("builder", raw).signature)
    other = encode_dss_signature(r, P256_ORDER - s)
    return {**made, f"builder.{key}.dsse": forge.envelope(key, other)}


def wrong_role(raw: bytes, signers: list[Signer]) -> dict[str, bytes]:
    key = signers[1].key.id
    signature = signers[1].sign("approver", raw).signature
    return {
        **forge.sign(raw, signers[0]),
        f"builder.{key}.dsse": forge.envelope(key, signature),
    }


def twice(raw: bytes, signers: list[Signer]) -> dict[str, bytes]:
    (one,) = forge.sign(raw, signers[0]).values()
    return {f"builder.{digit * 64}.dsse": one for digit in "01"}


def under_another_id(signers: list[Signer]) -> bytes:
    made = base()
    raw = made.raw()
    envelopes = forge.sign(raw, *signers[:2])
    return forge.tar(forge.members(raw, envelopes, made.packs, bundle="0" * 64))


def first_header(what: str, offset: int, data: bytes) -> Bad:
    def edit(raw: bytes) -> bytes:
        name = raw[345:500].rstrip(b"\0") + b"/" + raw[:100].rstrip(b"\0")
        size = int(raw[124:135], 8)
        text = name.decode().lstrip("/")
        return forge.header(text, size, change=(offset, data)) + raw[512:]

    return archive(what, "9", edit)


def unsorted_entries(made: Draft) -> None:
    made.entries.reverse()
    made.digest_items()


def odd_entry(made: Draft) -> None:
    made.entries.append({"path": "x", "type": "fifo"})
    made.digest_items()


def swap_blocks(made: Draft) -> None:
    offsets = made.manifest["blocks"]["offsets"]
    made.manifest["blocks"]["offsets"] = offsets[4:8] + offsets[:4] + offsets[8:]


def need(made: Draft) -> None:
    """Name a chunk that no block holds."""
    made.manifest["chunks"]["digests"] += bytes(32)
    made.manifest["chunks"]["lengths"] += forge.u32(1)


CASES = [
    raw_manifest("bytes after the manifest", "2.1", lambda raw: raw + b"\xc0"),
    raw_manifest("a manifest cut in half", "2.1", lambda raw: raw[: len(raw) // 2]),
    top_field("an integer in a longer form", "2.1", sequence=Verbatim(b"\xcc\x00")),
    top_field("a string in a longer form", "2.1", hash=Verbatim(b"\xd9\x06sha256")),
    top_field("an array in a longer form", "2.1", audience=Verbatim(b"\xdc\x00\x00")),
    top_field("a boolean for an integer", "2.1", sequence=False),
    top_field("bytes for a string", "2.1", channel=b"default"),
    top_field("a negative integer", "2.1", sequence=Verbatim(b"\xff")),
    top_field("2^53", "2.1", sequence=2**53),
    top_field("a floating point number", "2.1", created_at=Verbatim(b"\xcb" + bytes(8))),
    top_field("an extension type", "2.1", tool=Verbatim(b"\xd4\x01\x00")),
    top_field("a timestamp", "2.1", created_at=Verbatim(b"\xd6\xff\x00\x00\x00\x01")),
    top_field("a string that is not UTF-8", "2.1", tool=Verbatim(b"\xa1\xff")),
    top_field("a field too many", "2.1", extra=0),
    change("a field too few", "2.1", lambda made: made.manifest.pop("tool")),
    raw_manifest(
        "a key twice",
        "2.1",
        lambda raw: b"\x8e" + forge.pack("audience") + b"\x90" + raw[1:],
    ),
    top_field("arrays 10,000 deep", "2.1", audience=Verbatim(b"\x91" * 10_000 + b"\xc0")),
    top_field("an array of 2^32 elements", "2.1", audience=Verbatim(b"\xdd\xff\xff\xff\xff")),
    top_field("another digest", "2.2", hash="md5"),
    column("a column of broken elements", "2.2", "packs", sizes=b"\0\0\0"),
    entry_field("a digest of 20 bytes", "2.2", digest=bytes(20)),
    top_field("a time after the year 9999", "2.3", created_at=253_402_300_800),
    item("a tag in upper case", "2.4", "model", "Ranker", "v1"),
    item("the version latest", "2.4", "model", "ranker", "latest"),
    item("a name that goes up", "2.4", "model", "..", "v1"),
    item("a branch for a commit", "2.4", "hugging-face", "org--mini", "main"),
    top_field("a channel that is no name", "2.4", channel="a/b"),
    path("a path that goes up", "../x"),
    path("an absolute path", "/x"),
    path("an empty part", "a//b"),
    path("a part that is a dot", "a/./b"),
    path("a backslash", "a\\b"),
    path("a drive", "C:x"),
    path("NUL", "a\0b"),
    path("a bidirectional override", "a\u202eb"),
    path("a zero-width space", "a\u200bb"),
    path("a path that is not in form C", "cafe\u0301"),
    path("a Windows device", "nul.txt"),
    path("a dot at the end", "a."),
    path("a part of 256 bytes", "a" * 256),
    entries("A and a", "2.5", {"A": b"1", "a": b"2"}),
    entries("a circled a and a", "2.5", {"\u24d0": b"1", "a": b"2"}),
    entries("sharp s and ss", "2.5", {"\u00df": b"1", "ss": b"2"}),
    entries("a file above a file", "2.5", {"a": b"1", "a/b": b"2"}),
    entries("a file above an empty folder", "2.5", {"a": b"1", "a/b": Folder()}),
    target("an absolute target", "/etc/passwd"),
    target("a target outside", "../../x"),
    target("a target outside by way of a folder", "a/../../../x"),
    target("a target through another link", "up/model.yaml"),
    target("a target up through another link", "up/../x"),
    target("an empty target", ""),
    change("entries that are not sorted", "3.1", unsorted_entries),
    change("a type that there is not", "3.1", odd_entry),
    entry_field("a size that is not its chunks'", "3.1", size=41),
    entry_field("a chunk that is not in the table", "3.1", chunks=forge.u32(9)),
    Bad(
        "a file whose digest is wrong",
        "corrupt",
        "3.1",
        lambda signers: signed(
            (made := forge.draft(forge.model({"x": File((b"1", b"2"), digest=bytes(32))}))).raw(),
            made.packs,
            signers,
        ),
    ),
    change(
        "an item's digest that is wrong",
        "3.2",
        lambda made: made.manifest["items"][0].update(digest=bytes(32)),
    ),
    change(
        "an item of an unknown kind",
        "3.2",
        lambda made: made.manifest["items"][0].update(kind="wheel"),
    ),
    change(
        "an item twice",
        "3.2",
        lambda made: made.manifest["items"].append(made.manifest["items"][0]),
    ),
    top_field("a later format", "4.1", "policy", format=2),
    top_field("a later reader", "4.1", "policy", reader=2),
    top_field("an earlier format", "4.1", format=0),
    top_field("an audience that is not sorted", "4.1", audience=["ward", "attic"]),
    top_field("a tool with control characters", "4.1", tool="\x1b[2J"),
    column("a chunk twice", "4.2", "chunks", digests=bytes(96)),
    column("an empty chunk", "4.2", "chunks", lengths=forge.u32(0, 40, 40)),
    column("a chunk of more than 4 MiB", "4.2", "chunks", lengths=forge.u32(2**22 + 1, 40, 40)),
    column("columns of different lengths", "4.2", "chunks", lengths=forge.u32(1, 40)),
    change("a chunk that nobody brings", "4.2", need, "missing"),
    column(
        "a pack without blocks",
        "4.3",
        "packs",
        block_counts=forge.u32(3, 0),
        digests=forge.sha256(base().packs[0]) + bytes(32),
        sizes=forge.u32(len(base().packs[0]), 0),
    ),
    column("a block too many", "4.3", "packs", block_counts=forge.u32(2)),
    column("a block without chunks", "4.3", "blocks", chunk_counts=forge.u32(1, 1, 0)),
    column("chunks that are not there", "4.3", "blocks", chunk_counts=forge.u32(1, 1, 2)),
    column("a base for a raw block", "4.3", "blocks", bases=forge.u32(2**32 - 1, 0, 2**32 - 1)),
    column("a block that passes its pack's end", "4.3", "blocks", offsets=forge.u32(0, 68, 2**31)),
    change("blocks in another order", "4.3", swap_blocks),
    column("a pack of more than 68 MiB", "4.3", "packs", sizes=forge.u32(68 * 2**20 + 1)),
    archive("a pack with a byte changed", "5.1", lambda raw: raw.replace(b"aaaa", b"aaab", 1)),
    frame("a frame that is cut off", lambda stored: stored[:-1]),
    frame("a byte after the frame", lambda stored: stored + b"\0"),
    frame("a second frame", lambda stored: stored + zstandard.compress(b"")),
    frame("a skippable frame after it", lambda stored: stored + b"\x50\x2a\x4d\x18" + bytes(4)),
    frame("another length than the manifest's", lambda _: zstandard.compress(TEXT[:-1])),
    frame("other content", lambda _: zstandard.compress(TEXT[::-1])),
    frame(
        "no content size",
        lambda _: zstandard.ZstdCompressor(write_content_size=False).compress(TEXT),
    ),
    frame(
        "a claim of 1 TiB", lambda _: b"\x28\xb5\x2f\xfd\xc0\x38" + (2**40).to_bytes(8, "little")
    ),
    frame(
        "a window of 2 GiB",
        lambda _: b"\x28\xb5\x2f\xfd\xc0\xa8" + len(TEXT).to_bytes(8, "little") + b"\1\0\0",
    ),
    frame("a raw block of another length", lambda _: TEXT[:-1], codec=0),
    frame("a block that is no byte planes", lambda stored: stored, codec=2),
    frame("an unknown codec", lambda stored: stored, "policy", codec=255),
    envelopes("no signature", "7.3", lambda _raw, _signers: {}),
    envelopes("one signature of two", "7.3", lambda raw, signers: forge.sign(raw, signers[0])),
    envelopes("the same signature twice", "7.3", twice),
    envelopes("a signature for another role", "6.1", wrong_role),
    envelopes(
        "signatures of another manifest",
        "6.1",
        lambda raw, signers: forge.sign(raw + b"\0", *signers),
    ),
    envelopes(
        "an algorithm in the envelope",
        "6.2",
        lambda raw, signers: reencoded(raw, signers, '"sig"', '"alg":"none","sig"'),
    ),
    envelopes(
        "spaces in the envelope",
        "6.2",
        lambda raw, signers: reencoded(raw, signers, ":", ": "),
    ),
    envelopes(
        "an empty list of signatures",
        "6.2",
        lambda raw, signers: {
            **forge.sign(raw, signers[0]),
            f"builder.{signers[1].key.id}.dsse": (
                b'{"payloadType":"' + forge.MANIFEST_TYPE.encode() + b'","signatures":[]}\n'
            ),
        },
    ),
    envelopes("an ECDSA signature in the upper half", "6.3", upper_half),
    top_field("a bundle that has expired", "7.5", "policy", expires_at=1),
    top_field("a bundle for another site", "7.5", "policy", audience=["attic"]),
    first_header("another mode", 100, b"0000755\0"),
    first_header("a symbolic link", 156, b"2"),
    first_header("GNU's magic", 257, b"ustar  \0"),
    archive("a wrong checksum", "9", lambda raw: raw[:148] + b"000000\0 " + raw[156:]),
    archive("no end", "9", lambda raw: raw[:-512]),
    archive("bytes after the end", "9", lambda raw: raw + b"x"),
    archive("a member too many", "9", lambda raw: raw[:-1024] + forge.tar([("x", b"")])),
    Bad(
        "no packs",
        "missing",
        "9",
        lambda signers: signed(base().raw(), [], signers),
    ),
    Bad("a manifest under another id", "corrupt", "11", under_another_id),
]


def _bad(top: Path, signers: list[Signer]) -> None:
    rows: list[dict[str, Any]] = []
    (top / "bad").mkdir()
    for number, case in enumerate(CASES):
        name = f"{number:03}-{'-'.join(_word(word) for word in case.what.split())}.airgap"
        raw = case.write(signers)
        (top / "bad" / name).write_bytes(raw)
        rows.append(
            {
                "file": name,
                "what": case.what,
                "kind": case.kind,
                "section": case.section,
                "sha256": hashlib.sha256(raw).hexdigest(),
            }
        )
    (top / "bad.json").write_text(json.dumps(rows, indent=1) + "\n")


def _word(word: str) -> str:
    return "".join(one for one in word.lower() if one.isascii() and one.isalnum()) or "x"


if __name__ == "__main__":
    make(Path(sys.argv[1]))
