"""OpenSSF Model Signing's signature of one model (format §18), as ``model_signing`` 1.x writes it.

It is a Sigstore bundle (JSON) with a DSSE envelope with an in-toto statement that lists the model's
files and their SHA-256. The author of a signature that came with a bundle is unknown, and nothing
in it is trusted.
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
    """A signature that fits its item: the signed bytes (DSSE), and the key that it claims.

    ``hint`` is the SHA-256 of the signer's public key as PEM, in hex; it may be empty.
    """

    payload: bytes
    signature: bytes
    hint: str


def file_name(item: Item) -> str:
    """Name an item's signature within its bundle's folder."""
    return item.digest.hex() + _SUFFIX


def is_file_name(name: str) -> bool:
    """Tell whether a file name in a bundle's folder is that of a model's signature."""
    return _NAME.fullmatch(name) is not None


def has_links(item: Item) -> bool:
    """Tell whether an item has links, which ``model_signing`` follows only with an option."""
    return any(isinstance(entry, Link) for entry in item.entries)


def statement(item: Item) -> bytes:
    """Return the statement to sign: every file of the item as it is installed.

    Raises:
        UsageError: the item has a broken link, which ``model_signing`` refuses.
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
    """Encode the signature file.

    Raises:
        UsageError: it is longer than a reader accepts (format §2.3).
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
            f"The model has too many files: its signature would have {len(raw):,} bytes (at most"
            f" {limits.MODEL_SIGNATURE_BYTES:,} are allowed).",
            "Omit --emit-model-signature: the bundle's own signature covers every file.",
        )
    return raw


def decode(raw: bytes, item: Item) -> Claim:
    """Decode a signature and check that it covers exactly the files of this item.

    Its author is unknown, so it may be at most twice as long as our own would be: that bounds the
    work of reading it by the signed manifest.

    Raises:
        CorruptError: it is malformed, or covers other files.
    """
    try:
        own_length = len(encode(statement(item), b"", b""))
        if len(raw) > 2 * own_length + _SLACK_BYTES:
            raise ValueError("too long")
        document = json.loads(raw)
        envelope = document["dsseEnvelope"]
        (entry,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        claim = Claim(payload, base64.b64decode(entry["sig"], validate=True), _read_hint(document))
        types = document["mediaType"], envelope["payloadType"]
        if types != (_MEDIA_TYPE, _PAYLOAD_TYPE) or not _fits(json.loads(payload), item):
            raise ValueError("another type, or other files")
    except _UNREADABLE as error:
        raise CorruptError(
            f"The model signature of {item} is malformed, or does not match its files.",
            "The import does not depend on it: ask the signer of the model for another one.",
        ) from error
    return claim


def _read_hint(document: Mapping[str, Any]) -> str:
    hint = document["verificationMaterial"]["publicKey"].get("hint") or ""
    if type(hint) is not str:
        raise TypeError("hint")
    return hint


def _fits(document: Mapping[str, Any], item: Item) -> bool:
    """Tell whether a statement covers all files of an item; paths that it ignores are unsigned."""
    predicate = document["predicate"]
    options, resources = predicate["serialization"], predicate["resources"]
    ignored = set(options.get("ignore_paths", ()))
    expected = {name: digest.hex() for name, digest in _resources(item).items()}
    if FILE in ignored:
        expected.pop(FILE, None)
    hasher = hashlib.sha256()
    for resource in resources:
        hasher.update(bytes.fromhex(resource["digest"]))
    (subject,) = document["subject"]
    return (
        (document["_type"], document["predicateType"]) == (_STATEMENT, _PREDICATE)
        and (options["method"], options["hash_type"]) == ("files", "sha256")
        and options["allow_symlinks"] in ((True,) if has_links(item) else (True, False))
        and ignored <= {*_IGNORED, FILE}
        and {resource["algorithm"] for resource in resources} <= {"sha256"}
        and len(resources) == len(expected)
        and {resource["name"]: resource["digest"] for resource in resources} == expected
        and subject["digest"]["sha256"] == hasher.hexdigest()
    )


def _resources(item: Item) -> dict[str, bytes]:
    """Return the digests of the paths that ``model_signing`` hashes, sorted part by part as there.

    It follows links to files, skips links to folders, and always ignores git's files at the top.
    """
    files = {file.path: file.digest for file in item.files}
    links = {entry.path: entry.target for entry in item.entries if isinstance(entry, Link)}
    folders = _folders(item)
    digests = dict(files)
    for path in links:
        target = resolve_link(path, links, files)
        if target is not None:
            digests[path] = files[target]
        elif resolve_link(path, links, folders) is None:
            raise UsageError(
                f"The link {path!r} of {item} is broken, which model_signing does not accept.",
                "Remove the link, or omit --emit-model-signature.",
            )
    kept = [path for path in digests if path.partition("/")[0] not in _IGNORED]
    return {path: digests[path] for path in sorted(kept, key=lambda path: path.split("/"))}


def _folders(item: Item) -> set[str]:
    """Return the paths of all folders of an item; the item's own is empty."""
    folders = {""}
    for entry in item.entries:
        path = entry.path if isinstance(entry, Folder) else entry.path.rpartition("/")[0]
        while path not in folders:
            folders.add(path)
            path = path.rpartition("/")[0]
    return folders
