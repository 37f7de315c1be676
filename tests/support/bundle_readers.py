"""Readers of whole bundles, and of the images in them."""

import io
from collections import deque
from contextlib import suppress
from functools import cache
from hashlib import sha256
from typing import Final

from airgap.carrier.archive import ArchiveReader
from airgap.carrier.archive_padding import Padding, read_padding
from airgap.codec import table
from airgap.errors import AirgapError, CorruptError, MissingError, NotTrustedError, PolicyError
from airgap.format import canonical, envelope, image, layout, limits, manifest, tar
from airgap.format.inventory import File, make_item
from airgap.format.manifest import NO_BASE
from tests.support import closure_items, forge, second_verifier
from tests.support.reader import Reader
from tests.support.sides import REPOSITORY

__all__ = ["READERS"]

_VECTORS: Final = REPOSITORY / "tests" / "vectors"
_BUNDLE: Final = bytes(range(32)).hex()


# ---- paddings


def _padding(raw: bytes, size: int) -> Padding:
    """Read a padding to its end; what is in it may be anything."""
    stream = io.BytesIO(raw + bytes(-len(raw) % 512))
    padding = read_padding(stream.read, size, f"bundles/{_BUNDLE}/")
    assert stream.read() == b""
    assert 0 <= padding.room <= size
    assert sum(map(len, padding.attachments.values())) <= size - padding.room
    return padding


def _read_padding(raw: bytes) -> None:
    """Read a padding, and again behind what a crash has left: the attachments are the same."""
    padding = _padding(raw, len(raw))
    behind = _padding(_LEFT_BY_CRASH + raw, len(_LEFT_BY_CRASH) + len(raw))
    assert behind.attachments == padding.attachments, "what a crash left hides attachments"


_LEFT_BY_CRASH: Final = b"\1" * 512


def _padding_seeds() -> list[bytes]:
    folder, key = f"bundles/{_BUNDLE}", _BUNDLE
    files = [f"{folder}/scanner.{key}.findings", f"{folder}/builder.1.{key}.tsr"]
    return [bytes(1024) + b"".join(forge.member(file, file.encode()) for file in files)]


# ---- single files


def _read_archive(raw: bytes) -> None:
    """Read a single file to its end as if its builder were trusted, and decode every block."""
    reader = ArchiveReader(io.BytesIO(raw), "bundle.airgap")
    _, signed = reader.read_manifest()
    made = manifest.decode(signed)
    envelopes = reader.read_envelopes("builder")
    deque(map(envelope.decode, envelopes), maxlen=0)
    for index, data in reader.read_packs(made.packs, range(len(made.packs))):
        if isinstance(data, AirgapError):
            raise data
        for block in made.packs[index].blocks:
            chunks = range(block.first_chunk, block.first_chunk + block.chunk_count)
            length = sum(made.chunks.lengths[chunk] for chunk in chunks)
            stored = data[block.offset : block.offset + block.stored_length]
            base = b"" if block.base == NO_BASE else bytes(length)
            assert len(table.decode(block.codec, stored, length, base)) == length


@cache
def _members() -> list[bytes]:
    """List the members of a file with two roots, and the end of a tar."""
    made = forge.draft(forge.model({"w.bin": b"w" * 9}))
    raw = made.raw()
    bundle = manifest.bundle_id(raw)
    names = [f"{layout.ROOTS}/{version}.root.msgpack" for version in (1, 2)]
    dsse = {layout.envelope_file("builder", "a" * 64): b"dsse"}
    files = forge.members(raw, dsse, made.packs, bundle=bundle)
    files[2:2] = [(tar.PADDING_NAME, bytes(512)), *((name, b"root") for name in names)]
    return [*(forge.member(name, data) for name, data in files), tar.END]


def _read_order(raw: bytes) -> None:
    """Read a file that consists of these members, as numbers, to its end; each may be there once.

    Roots are read in every second one.
    """
    if not set(raw) <= set(range(len(_members()))):
        raise CorruptError("It is not a member.", "Choose another.")
    data = b"".join(_members()[number] for number in raw)
    for with_roots in (False, True):
        reader = ArchiveReader(io.BytesIO(data), "bundle.airgap")
        made = manifest.decode(reader.read_manifest()[1])
        reader.read_attachments()
        if with_roots:
            with suppress(MissingError):
                reader.read_roots()
        deque(reader.read_packs(made.packs, range(len(made.packs))), maxlen=0)
        members = raw.rstrip(bytes([len(_members()) - 1]))  # the end of a tar may be longer
        assert len(set(members)) == len(members), "a file is read that has a member twice"


# ---- manifests


def _read_manifest_twice(raw: bytes) -> None:
    """Let both verifiers read a manifest, whose items get their right digests."""
    tree = canonical.decode(raw, limit=limits.MANIFEST_BYTES, what="manifest")
    with suppress(TypeError, KeyError, AttributeError, ValueError):
        for item in tree["items"]:
            item["digest"] = forge.item_digest(item)
        raw = canonical.encode(tree)
    theirs = _judge_as_second(raw)
    ours, refusal = "accepted", None
    try:
        manifest.decode(raw)
    except (CorruptError, PolicyError) as error:
        ours, refusal = error.kind, error
    agree = theirs in (ours, "without description")
    assert agree, f"docs/verify.py says {theirs}, airgap {refusal or ours}"
    if refusal is not None:
        raise refusal


def _judge_as_second(raw: bytes) -> str:
    program = second_verifier.program()
    try:
        program.check_manifest(program.decode(raw, limits.MANIFEST_BYTES, "manifest"))
    except program.Refused as error:
        kind, why = error.args
        # airgap looks for an item's description where its content is, after the rest
        return "without description" if ": no " in why else str(kind)
    except Exception:  # noqa: BLE001  (as its main function takes them)
        return "corrupt"
    return "accepted"


def _manifest_seeds() -> list[bytes]:
    folders = ("handmade/bundles/*", "reader-2/labelled/bundles/*")
    paths = [path for folder in folders for path in _VECTORS.glob(f"{folder}/manifest.msgpack")]
    return [path.read_bytes() for path in sorted(paths)]


# ---- images


def _read_image(raw: bytes) -> None:
    """Check an index, a manifest and a blob, with NUL between them, as those of an image.

    In the first, ``MANIFEST`` stands for the digest of the second; in that, ``BLOB`` for that of
    the third. Each document is read once.
    """
    top, _, rest = raw.partition(b"\0")
    second, _, blob = rest.partition(b"\0")
    second = second.replace(b"BLOB", sha256(blob).hexdigest().encode())
    top = top.replace(b"MANIFEST", sha256(second).hexdigest().encode())
    blobs = {image.blob_path(sha256(data).hexdigest()): data for data in (top, second, blob)}
    files = [
        File(path, executable=False, size=len(data), digest=sha256(data).digest(), chunks=())
        for path, data in blobs.items()
    ]
    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        return blobs[path]

    index = image.ImageIndex(sha256(top).hexdigest(), len(top), _INDEX_TYPE, "shop:1")
    image.check_blobs(make_item("image", "shop", index.version, files), index, read)
    assert len(set(reads)) == len(reads), "a document is read again and again"


_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"


def _image_seeds() -> list[bytes]:
    blob = b"layer"
    second = closure_items.manifest(blob, blob).replace(sha256(blob).hexdigest().encode(), b"BLOB")
    size = len(second) + 2 * (64 - len(b"BLOB"))
    named = {
        "digest": "sha256:MANIFEST",
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "size": size,
    }
    return [
        b"\0".join((closure_items.compact({"manifests": manifests}), second, blob))
        for manifests in ([named], [named, named])
    ]


READERS: Final[dict[str, Reader]] = {
    "padding": Reader(_read_padding, (), _padding_seeds),
    "archive": Reader(
        _read_archive,
        (CorruptError, MissingError, NotTrustedError, PolicyError),
        lambda: [path.read_bytes() for path in sorted(_VECTORS.glob("*.airgap"))],
    ),
    "manifest for both verifiers": Reader(
        _read_manifest_twice, (CorruptError, PolicyError), _manifest_seeds
    ),
    "members of an archive": Reader(
        _read_order,
        (CorruptError, MissingError),
        lambda: [bytes(range(len(_members())))],
    ),
    "documents of an image": Reader(_read_image, (CorruptError,), _image_seeds),
}
