"""OpenSSF Model Signing's signature of one model (format §18), as ``model_signing`` 1.x writes it.

A Sigstore bundle (JSON) around a DSSE envelope around an in-toto statement that lists the model's
files and their SHA-256. Everything in one that came along was written by somebody unknown.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError, UsageError
from airgap.format import limits
from airgap.format.envelope import PAYLOAD_TYPES
from airgap.format.inventory import Folder, Item, Link
from airgap.format.stock_archive import resolve_link

__all__ = [
    "FILE",
    "Claim",
    "decode",
    "encode",
    "file_name",
    "has_links",
    "is_file_name",
    "statement",
]

FILE: Final = "model.sig"
_PAYLOAD_TYPE: Final = PAYLOAD_TYPES["model"]
_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://model_signing/signature/v1.0"
_IGNORED: Final = (".git", ".gitattributes", ".github", ".gitignore")
_SLACK_BYTES: Final = 64 * limits.KIB
_SUFFIX: Final = f".{FILE}"
_NAME = re.compile(r"[0-9a-f]{64}\.model\.sig")
_UNREADABLE: Final = (
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    UsageError,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature that fits its item: the bytes it is over (DSSE), and whose it says it is.

    ``hint`` is the SHA-256 of the signer's public key as PEM, in hex, or empty.
    """

    payload: bytes
    signature: bytes
    hint: str


def file_name(item: Item) -> str:
    """Name an item's signature within its bundle's folder."""
    return item.digest.hex() + _SUFFIX


def is_file_name(name: str) -> bool:
    """Tell whether a file within a bundle's folder is a model's signature."""
    return _NAME.fullmatch(name) is not None


def has_links(item: Item) -> bool:
    """Tell whether ``model_signing`` must be told to follow links."""
    return any(isinstance(entry, Link) for entry in item.entries)


def statement(item: Item) -> bytes:
    """Write the statement that is signed: every file of the item as it is installed.

    Raises:
        UsageError: a link leads nowhere, which ``model_signing`` refuses.
    """
    digests = _resources(item)
    hasher = hashlib.sha256()
    for digest in digests.values():
        hasher.update(digest)
    document = {
        "_type": _STATEMENT,
        "subject": [{"name": item.tag, "digest": {"sha256": hasher.hexdigest()}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "allow_symlinks": has_links(item),
                "hash_type": "sha256",
                "ignore_paths": list(_IGNORED),
                "method": "files",
            },
            "resources": [
                {"algorithm": "sha256", "digest": digest.hex(), "name": name}
                for name, digest in digests.items()
            ],
        },
    }
    return json.dumps(document, indent=2).encode()


def encode(payload: bytes, signature: bytes, public_pem: bytes) -> bytes:
    """Write the file.

    Raises:
        UsageError: it is longer than a reader takes (format §2.3).
    """
    document = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": hashlib.sha256(public_pem).hexdigest()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    raw = json.dumps(document, separators=(",", ":")).encode()
    if len(raw) > limits.MODEL_SIGNATURE_BYTES:
        raise UsageError(
            f"The model has too many files for a signature of {len(raw):,} bytes.",
            "Leave out --emit-model-signature: the bundle's own signature covers every file.",
        )
    return raw


def decode(raw: bytes, item: Item) -> Claim:
    """Read a signature and demand that it is of exactly the files of this item.

    Whoever wrote it is unknown, so that it may be no longer than twice what we would write: what
    it takes to read is bounded by the signed manifest.

    Raises:
        CorruptError: it is no such file, or of other files.
    """
    try:
        ours = len(encode(statement(item), b"", b""))
        if len(raw) > 2 * ours + _SLACK_BYTES:
            raise ValueError("too long")
        document = json.loads(raw)
        envelope = document["dsseEnvelope"]
        (one,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        claim = Claim(payload, base64.b64decode(one["sig"], validate=True), _hint(document))
        kinds = document["mediaType"], envelope["payloadType"]
        if kinds != (_MEDIA_TYPE, _PAYLOAD_TYPE) or not _fits(json.loads(payload), item):
            raise ValueError("of another kind, or of other files")
    except _UNREADABLE as error:
        raise CorruptError(
            f"The model signature of {item} is not one of its files.",
            "Nothing depends on it: ask whoever signed the model for another one.",
        ) from error
    return claim


def _hint(document: Mapping[str, Any]) -> str:
    hint = document["verificationMaterial"]["publicKey"].get("hint") or ""
    if type(hint) is not str:
        raise TypeError("hint")
    return hint


def _fits(told: Mapping[str, Any], item: Item) -> bool:
    """Tell whether a statement is of all files of an item; what is ignored is not signed."""
    how, listed = told["predicate"]["serialization"], told["predicate"]["resources"]
    ignored = set(how.get("ignore_paths", ()))
    expected = {name: digest.hex() for name, digest in _resources(item).items()}
    if FILE in ignored:
        expected.pop(FILE, None)
    hasher = hashlib.sha256()
    for one in listed:
        hasher.update(bytes.fromhex(one["digest"]))
    (subject,) = told["subject"]
    return (
        (told["_type"], told["predicateType"]) == (_STATEMENT, _PREDICATE)
        and (how["method"], how["hash_type"]) == ("files", "sha256")
        and how["allow_symlinks"] in ((True,) if has_links(item) else (True, False))
        and ignored <= {*_IGNORED, FILE}
        and {one["algorithm"] for one in listed} <= {"sha256"}
        and len(listed) == len(expected)
        and {one["name"]: one["digest"] for one in listed} == expected
        and subject["digest"]["sha256"] == hasher.hexdigest()
    )


def _resources(item: Item) -> dict[str, bytes]:
    """Return the digest of each path that ``model_signing`` hashes, in its order: part by part.

    It follows links to files, passes over those to folders, and always over what git keeps at
    the top.
    """
    files = {file.path: file.digest for file in item.files}
    links = {entry.path: entry.target for entry in item.entries if isinstance(entry, Link)}
    folders = _folders(item)
    found = dict(files)
    for path in links:
        target = resolve_link(path, links, files)
        if target is not None:
            found[path] = files[target]
        elif resolve_link(path, links, folders) is None:
            raise UsageError(
                f"The link {path!r} of {item} leads nowhere, which model_signing does not take.",
                "Remove the link, or leave out --emit-model-signature.",
            )
    kept = [path for path in found if path.partition("/")[0] not in _IGNORED]
    return {path: found[path] for path in sorted(kept, key=lambda path: path.split("/"))}


def _folders(item: Item) -> set[str]:
    """Return every folder of an item, its own as the empty path."""
    found = {""}
    for entry in item.entries:
        path = entry.path if isinstance(entry, Folder) else entry.path.rpartition("/")[0]
        while path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found
