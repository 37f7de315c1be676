"""Writes evidence: one file of lines, or a folder that is checked with openssl (format §31.5)."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from airgap.carrier.texts import texts
from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.disk.part_folder import make_part_folder
from airgap.errors import ConflictError
from airgap.flow.evidence.collect import CollectedEvidence, list_lines, list_signed, root_file
from airgap.format import envelope as dsse
from airgap.format import layout
from airgap.format import root as roots
from airgap.format.envelope import signed_bytes
from airgap.format.root import Key
from airgap.signing.public_keys import to_pem

__all__ = ["write_evidence"]

_LINES_SUFFIX: Final = ".jsonl"
_SUMS: Final = "SHA256SUMS"
_README: Final = """\
Evidence of bundle {bundle}

  bundles/                 its manifest, and every file beside it, byte for byte
  roots/                   roots that travelled with it
  root/                    the root that the machine trusted that collected this
  keys/                    the public keys of that root
  signed/                  of each signature by one of these keys: what was signed (.payload),
                           the exact bytes under the signature (.pae), the signature (.sig)
  evidence.intoto.jsonl    the same signatures for programs that read in-toto bundles
  verify.py                a second verifier, which needs Python and openssl, and the depot

1. Take the fingerprint of the site's root from its records, on paper, and compare:

       sha256sum root/*.root.msgpack

2. Check all files and signatures with openssl (3.0; 3.5 for ML-DSA):

       sh check.sh

   One signature by hand (Ed25519; of ECDSA: openssl dgst -sha256 -verify):

       openssl pkeyutl -verify -pubin -inkey keys/KEY.pem -rawin \\
           -in signed/1.pae -sigfile signed/1.sig

3. The packs are not here. With the depot, check all that the builders signed:

       python3 verify.py DEPOT#{bundle} --root root/N.root.msgpack --fingerprint SHA256:...

Attachments ({bundle}/*.findings, *.intoto.json, *.tsr) may be of anybody. airgap has carried them
and checked none. What is missing may have been left out by anyone who carried the bundle.
"""


def write_evidence(evidence: CollectedEvidence, path: Path) -> dict[str, Any]:
    """Write evidence, and describe what was written, as ``--json`` has it.

    A path that ends in ``.jsonl`` is a file of lines, and any other a new folder.

    Raises:
        ConflictError: the folder is not empty.
        StorageError: it cannot be written.
    """
    is_file = path.name.endswith(_LINES_SUFFIX)
    count = _write_lines(evidence, path) if is_file else _write_folder(evidence, path)
    return {
        "bundle": evidence.small.bundle,
        "output": str(path),
        "form": "file" if is_file else "folder",
        "count": count,
        "verified": False,
    }


def _write_lines(evidence: CollectedEvidence, path: Path) -> int:
    """Write an in-toto bundle; return how many lines it has.

    Raises:
        StorageError: it cannot be written.
    """
    lines = list_lines(evidence)
    with translate_errors(path):
        write_atomically(path.parent, path.name, [b"".join(lines)])
    return len(lines)


def _write_folder(evidence: CollectedEvidence, path: Path) -> int:
    """Write a folder that did not exist or is empty, whole or not at all; return its signatures.

    Raises:
        ConflictError: there is something else.
        StorageError: it cannot be written.
    """
    files = dict(_list_files(evidence))
    signed = dict(_list_signed_files(evidence))
    files |= signed
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    files[_SUMS] = "".join(sums).encode()
    with translate_errors(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConflictError(f"{path} exists.", "Give the name of a new folder.")
        with make_part_folder(path) as part:
            _write_files(part, files)
            part.replace(path)
            durable.sync_folder(path.parent)
    return sum(name.endswith(".sig") for name in signed)


def _write_files(part: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        write_atomically(part, name, [data])


def _list_files(evidence: CollectedEvidence) -> Iterator[tuple[str, bytes]]:
    """Yield what was collected, and what explains it, by name."""
    small = evidence.small
    yield layout.manifest_name(small.bundle), small.raw
    for file, data in small.envelopes.items():
        yield f"{evidence.folder}/{file}", data
    yield from small.roots.items()
    yield "evidence.intoto.jsonl", b"".join(list_lines(evidence))
    yield "README.txt", _README.format(bundle=small.bundle).encode()
    yield "check.sh", Path(__file__).with_name("check.sh").read_bytes()
    yield layout.VERIFIER_NAME, texts()[layout.VERIFIER_NAME]
    if evidence.pinned is None:
        return
    name = root_file(evidence.pinned)
    yield name, evidence.pinned.raw
    for raw in evidence.pinned.envelopes:
        key_id = dsse.decode(raw).key_id
        yield f"{name.removesuffix('root.msgpack')}{key_id}.dsse", raw
    for key_id, key in _keys(evidence).items():
        yield f"keys/{key_id}.pem", to_pem(key)


def _list_signed_files(evidence: CollectedEvidence) -> Iterator[tuple[str, bytes]]:
    """Yield what openssl needs of each signature whose key is known, and their index."""
    keys = _keys(evidence)
    rows: list[str] = []
    for signed in list_signed(evidence):
        signature = signed.signature
        key = keys.get(signature.key_id)
        if key is None or not signature.payload_type.isprintable() or " " in signature.payload_type:
            continue
        number = len(rows) + 1
        yield f"signed/{number}.payload", signed.payload
        yield f"signed/{number}.pae", signed_bytes(signature.payload_type, signed.payload)
        yield f"signed/{number}.sig", signature.signature
        words = (number, key.id, key.algorithm, signature.payload_type, signed.source)
        rows.append(" ".join(map(str, words)))
    yield "signed/index.txt", "".join(f"{row}\n" for row in rows).encode()


def _keys(evidence: CollectedEvidence) -> dict[str, Key]:
    """Return the keys of the root that this machine trusts, by key id."""
    if evidence.pinned is None:
        return {}
    return {key.id: key for key in roots.decode(evidence.pinned.raw).keys}
