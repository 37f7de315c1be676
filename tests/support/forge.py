"""Bundles made by hand from plain values, so that each bad one has exactly one fault.

Nothing here uses the package's own writers of manifests, packs and tar headers: what they cannot
write is what an attacker would.
"""

import base64
import hashlib
import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import AirgapError
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle import open_bundle
from airgap.flow.importing import install_bundle
from airgap.flow.importing.install_bundle import InstallResult
from airgap.flow.importing.verify import verify_content
from airgap.flow.location.location import parse_location
from airgap.flow.progress import Silent
from airgap.format.envelope import Role
from airgap.format.ledger import State
from airgap.format.root import Root
from airgap.signing import private_keys, trust
from airgap.signing.signer import Signer
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from tests.support.refusals import ledger_tells_refusals
from tests.support.sides import Side, Site
from tests.support.stores import snapshot

NO_BASE = 0xFFFF_FFFF
SECRET = b"root:x:0:0::/root:/bin/bash\n"


@dataclass(frozen=True)
class Verbatim:
    """Bytes that stand in an encoding as they are."""

    raw: bytes


@dataclass(frozen=True)
class Pairs:
    """A map in exactly this order, with whatever keys."""

    pairs: tuple[tuple[Any, Any], ...]


def pack(value: object) -> bytes:
    """Encode canonical msgpack (format §2.1), but for what ``Verbatim`` and ``Pairs`` ask for."""
    return _PACKERS[type(value)](value)


def _pack_text(value: str) -> bytes:
    text = value.encode(errors="surrogatepass")
    return _header(len(text), 32, 0xA0, (0xD9, 0xDA, 0xDB)) + text


def _pack_array(value: Sequence[object]) -> bytes:
    return _header(len(value), 16, 0x90, (None, 0xDC, 0xDD)) + b"".join(map(pack, value))


def _pack_map(value: Pairs) -> bytes:
    head = _header(len(value.pairs), 16, 0x80, (None, 0xDE, 0xDF))
    return head + b"".join(pack(key) + pack(one) for key, one in value.pairs)


_PACKERS: dict[type, Callable[[Any], bytes]] = {
    Verbatim: lambda value: value.raw,
    type(None): lambda _: b"\xc0",
    bool: lambda value: b"\xc3" if value else b"\xc2",
    int: lambda value: _header(value, 0x80, 0, (0xCC, 0xCD, 0xCE, 0xCF)),
    str: _pack_text,
    bytes: lambda value: _header(len(value), 0, 0, (0xC4, 0xC5, 0xC6)) + value,
    list: _pack_array,
    tuple: _pack_array,
    Pairs: _pack_map,
    dict: lambda value: _pack_map(
        Pairs(tuple(sorted(value.items(), key=lambda pair: pair[0].encode())))
    ),
}


def _header(number: int, fixed: int, base: int, wider: Sequence[int | None]) -> bytes:
    """Return the shortest header: the number itself below ``fixed``, else 1, 2, 4 or 8 bytes."""
    if number < fixed:
        return bytes([base + number])
    for code, form, bound in zip(wider, "BHIQ", (2**8, 2**16, 2**32, 2**64), strict=False):
        if code is not None and number < bound:
            return struct.pack(f">B{form}", code, number)
    raise ValueError(number)


def u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class File:
    """A file as chunks; ``digest`` overrides the right one."""

    chunks: tuple[bytes, ...]
    executable: bool = False
    digest: bytes | None = None


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class Folder:
    pass


Content = bytes | File | Link | Folder


@dataclass(frozen=True)
class Item:
    kind: str
    name: str
    version: str
    entries: Mapping[str, Content]


def model(entries: Mapping[str, Content], tag: str = "ranker:v1") -> Item:
    """A model that BentoML can read."""
    return _described("model", tag, entries)


def bento(entries: Mapping[str, Content], tag: str = "shop:v1") -> Item:
    """A Bento that BentoML can read."""
    return _described("bento", tag, entries)


def _described(kind: str, tag: str, entries: Mapping[str, Content]) -> Item:
    name, _, version = tag.partition(":")
    return Item(kind, name, version, {f"{kind}.yaml": describe(kind, tag).encode(), **entries})


def describe(kind: str, tag: str) -> str:
    """Write the shortest bento.yaml or model.yaml that BentoML can read."""
    name, _, version = tag.partition(":")
    text = f"name: {name}\nversion: {version}\ncreation_time: '2026-01-02T03:04:05+00:00'\n"
    if kind == "bento":
        return text + "service: service:Main\n"
    context = "{framework_name: '', framework_versions: {}}"
    return text + (
        "module: ''\nlabels: {}\noptions: {}\nmetadata: {}\napi_version: v1\n"
        f"context: {context}\n"
    )


@dataclass
class Draft:
    """A bundle that is not signed yet. Tests change ``manifest`` and ``packs`` as they like."""

    manifest: dict[str, Any]
    packs: list[bytes] = field(default_factory=list)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries of the first item."""
        found: list[dict[str, Any]] = self.manifest["items"][0]["entries"]
        return found

    def entry(self, path: str) -> dict[str, Any]:
        return next(one for one in self.entries if one["path"] == path)

    def digest_items(self) -> "Draft":
        """Bring the items' digests in line with their entries again (format §3.2)."""
        for item in self.manifest["items"]:
            item["digest"] = item_digest(item)
        return self

    def raw(self) -> bytes:
        return pack(self.manifest)


def item_digest(item: Mapping[str, Any]) -> bytes:
    """Digest an item's map (format §3.2)."""
    bare = [
        {key: value for key, value in entry.items() if key != "chunks"} for entry in item["entries"]
    ]
    return sha256(
        pack(
            {
                "entries": bare,
                "hash": "sha256",
                "kind": item["kind"],
                "name": item["name"],
                "version": item["version"],
            }
        )
    )


def draft(*items: Item, **fields: object) -> Draft:
    """Put items into one pack of raw blocks, one chunk each; ``fields`` replace top-level ones."""
    table: dict[bytes, int] = {}
    plain: list[bytes] = []
    maps = [_item_map(item, table, plain) for item in items]
    stored = b"".join(plain)
    offsets = [sum(map(len, plain[:number])) for number in range(len(plain))]
    count = len(plain)
    manifest = {
        "audience": [],
        "blocks": {
            "bases": u32(*[NO_BASE] * count),
            "chunk_counts": u32(*[1] * count),
            "codecs": bytes(count),
            "offsets": u32(*offsets),
            "stored_lengths": u32(*map(len, plain)),
        },
        "channel": "default",
        "chunks": {"digests": b"".join(map(sha256, plain)), "lengths": u32(*map(len, plain))},
        "created_at": 1_767_323_045,
        "expires_at": None,
        "format": 1,
        "hash": "sha256",
        "items": maps,
        "packs": {
            "block_counts": u32(count) if count else b"",
            "digests": sha256(stored) if count else b"",
            "sizes": u32(len(stored)) if count else b"",
        },
        "reader": 1,
        "sequence": 0,
        "tool": "forge",
        **fields,
    }
    return Draft(manifest, [stored] if count else [])


def _item_map(item: Item, table: dict[bytes, int], plain: list[bytes]) -> dict[str, Any]:
    entries = [
        _entry_map(path, content, table, plain) for path, content in sorted(item.entries.items())
    ]
    made = {"kind": item.kind, "name": item.name, "version": item.version, "entries": entries}
    return {**made, "digest": item_digest(made)}


def _entry_map(
    path: str, content: Content, table: dict[bytes, int], plain: list[bytes]
) -> dict[str, Any]:
    if isinstance(content, Link):
        return {"path": path, "target": content.target, "type": "link"}
    if isinstance(content, Folder):
        return {"path": path, "type": "folder"}
    file = content if isinstance(content, File) else File((content,) if content else ())
    for chunk in file.chunks:
        if chunk not in table:
            table[chunk] = len(plain)
            plain.append(chunk)
    whole = b"".join(file.chunks)
    return {
        "chunks": u32(*(table[chunk] for chunk in file.chunks)),
        "digest": file.digest or sha256(whole),
        "executable": file.executable,
        "path": path,
        "size": len(whole),
        "type": "file",
    }


def stored_block(stored: bytes, plain: bytes, *, codec: int = 1, length: int = 0) -> Draft:
    """A model with one more file, of one chunk in a block of its own that is stored like this.

    ``length`` is what the manifest says of it; without it, what ``plain`` has.
    """
    made = draft(model({}))
    yaml = made.packs[0]
    length = length or len(plain)
    made.manifest["chunks"] = {
        "digests": sha256(yaml) + sha256(plain),
        "lengths": u32(len(yaml), length),
    }
    made.entries.append(
        {
            "chunks": u32(1),
            "digest": sha256(plain),
            "executable": False,
            "path": "weights.bin",
            "size": length,
            "type": "file",
        }
    )
    made.digest_items()
    made.packs = [yaml + stored]
    made.manifest["blocks"] = {
        "bases": u32(NO_BASE, NO_BASE),
        "chunk_counts": u32(1, 1),
        "codecs": bytes([0, codec]),
        "offsets": u32(0, len(yaml)),
        "stored_lengths": u32(len(yaml), len(stored)),
    }
    made.manifest["packs"] = {
        "block_counts": u32(2),
        "digests": sha256(made.packs[0]),
        "sizes": u32(len(made.packs[0])),
    }
    return made


def pae(kind: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, written anew from its specification."""
    return b" ".join(
        (b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload)
    )


MANIFEST_TYPE = "application/vnd.airgap.manifest.v1+msgpack"
ROOT_TYPE = "application/vnd.airgap.root.v1+msgpack"


def envelope(key_id: str, signature: bytes, kind: str = MANIFEST_TYPE) -> bytes:
    """Write an envelope file."""
    sig = base64.b64encode(signature).decode()
    text = {"payloadType": kind, "signatures": [{"keyid": key_id, "sig": sig}]}
    return json.dumps(text, separators=(",", ":")).encode() + b"\n"


def load_signer(path: Path) -> Signer:
    return private_keys.load(path, str.encode)


def sign(raw: bytes, *signers: Signer, role: Role = "builder") -> dict[str, bytes]:
    """Sign a document; return envelope files by name."""
    return {
        f"{role}.{one.key.id}.dsse": envelope(
            one.key.id, one.sign(role, raw).signature, one.sign(role, raw).payload_type
        )
        for one in signers
    }


def names_of(raw: bytes, bundle: str = "") -> tuple[str, str]:
    """Return a bundle's id and its folder in a depot."""
    bundle = bundle or hashlib.sha256(raw).hexdigest()
    return bundle, f"bundles/{bundle}"


def pack_name(data: bytes) -> str:
    digest = sha256(data).hex()
    return f"packs/{digest[:2]}/{digest}.pack"


def members(
    raw: bytes, envelopes: Mapping[str, bytes], packs: Iterable[bytes], *, bundle: str = ""
) -> list[tuple[str, bytes]]:
    """List the files of a bundle in the order of format §9, but for the texts at its end."""
    _, folder = names_of(raw, bundle)
    front = [(f"{folder}/{name}", data) for name, data in envelopes.items()]
    return [
        (f"{folder}/manifest.msgpack", raw),
        *front,
        *((pack_name(data), data) for data in packs),
    ]


def write_depot(folder: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    for name, data in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def put(path: Path, data: bytes) -> None:
    """Write a file anew: some file systems take milliseconds to cut off one that is there."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def header(name: str, size: int, **changes: tuple[int, bytes]) -> bytes:
    """Make a ustar header (format §9); ``changes`` are (offset, bytes), before the checksum."""
    prefix, _, short = name.rpartition("/") if len(name) > 100 else ("", "", name)
    block = bytearray(512)
    rows: list[tuple[int, bytes]] = [
        (0, short.encode()),
        (100, b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"),
        (148, b" " * 8 + b"0"),
        (257, b"ustar\x0000"),
        (329, b"0000000\0" * 2 + prefix.encode()),
    ]
    for offset, data in (*rows, *changes.values()):
        block[offset : offset + len(data)] = data
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + data + bytes(-len(data) % 512)


def tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Write an archive."""
    return b"".join(member(name, data) for name, data in files) + bytes(1024)


@dataclass(frozen=True)
class Forge:
    """Makes what a site's first builder signs, wherever it is written."""

    folder: Path
    signer: Signer

    def depot(self, made: Draft | bytes, packs: Sequence[bytes] = ()) -> Path:
        """Sign a draft (or the bytes of a manifest) and write it as a depot of its own."""
        raw, held = (made.raw(), made.packs) if isinstance(made, Draft) else (made, list(packs))
        top = self.folder / f"forged-{hashlib.sha256(raw).hexdigest()[:16]}"
        return write_depot(top, members(raw, sign(raw, self.signer), held))

    def archive(self, made: Draft) -> Path:
        """Sign a draft and write it as a ``.airgap`` file."""
        raw = made.raw()
        path = self.folder / f"forged-{hashlib.sha256(raw).hexdigest()[:16]}.airgap"
        path.write_bytes(tar(members(raw, sign(raw, self.signer), made.packs)))
        return path


def trusted(site: Site) -> Verified[Root]:
    """Accept a site's root, without pinning it anywhere."""
    raw, envelopes = pinned_root.read_root_files(site.root)
    return trust.accept_root(raw, envelopes, site.fingerprint)


def judging(root: Verified[Root]) -> AdmissionPolicy:
    """Return the judge of a machine that has imported nothing yet."""
    nothing = State(root.value.site, 0, 0, b"", 0)
    return AdmissionPolicy(root, nothing, int(time.time()))


def verify_in_process(location: Path | str, root: Verified[Root]) -> int:
    """Do what ``airgap verify`` does; return how many bytes of packs it read."""
    with open_bundle.open_bundle(parse_location(str(location)), judging(root)) as opened:
        return verify_content(opened, jobs=1, progress=Silent())


def import_in_process(location: Path | str, root: Verified[Root]) -> InstallResult:
    """Do what ``airgap import`` does; the environment says where."""
    with open_bundle.open_bundle(
        parse_location(str(location)), judging(root), remember=True
    ) as opened:
        return install_bundle.install_bundle(
            opened, replace=False, dry_run=False, jobs=1, progress=Silent()
        )


@contextmanager
def refused(
    side: Side, root: Verified[Root], *errors: type[AirgapError], staging: bool = False
) -> Iterator[Callable[[Path], None]]:
    """Give a check that a place is refused in this process, with exactly one of these classes.

    Each is verified and every eighth is imported, which takes ten times as long. Stores and state
    are compared after each; ``staging`` as in ``refusals.expect_refusal``.
    """
    counter = count()
    without = ".airgap" if staging else ""
    if staging:
        side.bentoml.mkdir(exist_ok=True)
    before = snapshot(side.top, without=without)

    def check(location: Path) -> None:
        work = verify_in_process if next(counter) % 8 else import_in_process
        with ledger_tells_refusals(side), pytest.raises(AirgapError) as caught:
            work(location, root)
        assert caught.value.kind in {error.kind for error in errors}, caught.value
        assert snapshot(side.top, without=without) == before

    with side.here():
        yield check
