"""Signatures of single models, for OpenSSF's ``model_signing`` (format §18): made and judged.

Nothing of airgap depends on them. They are for people who check a model where it lies, with a tool
that knows no bundles.
"""

import hashlib
import shlex
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from airgap.carrier.port import PackSource
from airgap.disk.part_file import write_atomically
from airgap.errors import CorruptError, UsageError
from airgap.flow.bundle.open_bundle import Opened
from airgap.format import model_signature
from airgap.format.envelope import PAYLOAD_TYPES, signed_bytes
from airgap.format.inventory import Item
from airgap.format.manifest import Manifest
from airgap.format.model_signature import Claim
from airgap.format.root import Key
from airgap.signing.public_keys import CURVES, to_pem, verifies_either_half
from airgap.signing.signer import Signer
from airgap.store.kinds import install_path

__all__ = [
    "ModelSignature",
    "Verdict",
    "describe",
    "examine",
    "lines",
    "read",
    "refuse_unsignable",
    "sign",
    "write",
]

Verdict = Literal["holds", "unknown signer", "does not fit", "not checked"]
_TOLD: Final = {
    "holds": "holds, signed by builder",
    "unknown signer": "fits, but is signed by no builder of this site",
    "does not fit": "does NOT fit this model: pass it by",
    "not checked": "travels among its own files as {path!r}, and was not checked",
}


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """A signature of one model. ``path`` is its own, if it is one of the model's files."""

    item: Item
    verdict: Verdict
    key_id: str = ""
    path: str = ""
    raw: bytes = b""


def refuse_unsignable(items: Sequence[Item], signer: Signer) -> None:
    """Demand before the work begins that all models can be signed with this key.

    Raises:
        UsageError: ``model_signing`` knows no such keys, or refuses a link.
    """
    if signer.key.algorithm not in CURVES:
        raise UsageError(
            f"model_signing knows ECDSA keys only, and this key is {signer.key.algorithm}.",
            "Give another one for this with --model-signature-key; `airgap key generate NAME"
            " --algorithm ecdsa-p256-sha256` makes one.",
        )
    for item in _models(items):
        model_signature.statement(item)


def sign(items: Sequence[Item], signer: Signer) -> dict[str, bytes]:
    """Sign each model by the digests that its item has; return the files by name.

    Raises:
        UsageError: as ``refuse_unsignable``, or one has too many files.
    """
    public = to_pem(signer.key)
    made = {}
    for item in _models(items):
        payload = model_signature.statement(item)
        signature = signer.sign("model", payload).signature
        made[model_signature.file_name(item)] = model_signature.encode(payload, signature, public)
    return made


def read(packs: PackSource, manifest: Manifest) -> dict[str, bytes]:
    """Read those that came along, by file name, after all packs; see ``PackSource``."""
    files = frozenset(map(model_signature.file_name, _models(manifest.items)))
    return packs.read_model_signatures(files)


def examine(opened: Opened, *, packs_were_read: bool) -> list[ModelSignature]:
    """Judge the signatures that came along. In a ``.airgap`` file they come after the packs.

    Raises:
        CorruptError, MissingError: on the way to them the file turns out to be damaged.
    """
    manifest = opened.manifest.value
    if not packs_were_read:
        deque(opened.packs.read_packs(manifest.packs, ()), maxlen=0)
    files = read(opened.packs, manifest)
    keys = opened.root.value.signers("builder")
    signatures = []
    for item in _models(manifest.items):
        raw = files.get(model_signature.file_name(item))
        if raw is not None:
            signatures.append(_judged(item, raw, keys))
        signatures += [ModelSignature(item, "not checked", path=path) for path in _own(item)]
    return signatures


def write(folder: Path, signatures: Sequence[ModelSignature]) -> list[str]:
    """Put those that fit where stock ``model_signing`` can take them; return its command lines.

    Raises:
        StorageError: the folder cannot be written.
    """
    commands = []
    for signature in signatures:
        if signature.verdict in ("holds", "unknown signer"):
            item = signature.item
            name = f"{item.kind}/{item.name}/{item.version}/{model_signature.FILE}"
            write_atomically(folder, name, [signature.raw])
            commands.append(_command(item, folder / name))
    return commands


def lines(signatures: Sequence[ModelSignature]) -> list[str]:
    """Say for people what came along."""
    result = []
    for signature in signatures:
        what = _TOLD[signature.verdict].format(path=signature.path)
        result.append(f"model signature of {signature.item}: {what}")
        result += [f"  {signature.key_id}"] if signature.key_id else []
        if signature.verdict == "not checked":
            path = install_path(signature.item).final / signature.path
            result.append(f"  to check it: {_command(signature.item, path)}")
    return result


def describe(signatures: Sequence[ModelSignature]) -> list[dict[str, Any]]:
    """Say the same as plain data."""
    return [
        {
            "item": str(signature.item),
            "verdict": signature.verdict,
            "key_id": signature.key_id or None,
            "path": signature.path or None,
        }
        for signature in signatures
    ]


def _models(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.rules.is_model]


def _own(item: Item) -> list[str]:
    """Return the model's own files that are such signatures, by their name."""
    name = model_signature.FILE
    return [file.path for file in item.files if file.path.rpartition("/")[2] == name]


def _judged(item: Item, raw: bytes, keys: Mapping[str, Key]) -> ModelSignature:
    try:
        claim = model_signature.decode(raw, item)
    except CorruptError:
        return ModelSignature(item, "does not fit")
    signer = _signer_of(claim, keys)
    return ModelSignature(item, "holds" if signer else "unknown signer", signer, raw=raw)


def _signer_of(claim: Claim, keys: Mapping[str, Key]) -> str:
    """Return the id of the builder's key that made a signature, or nothing."""
    message = signed_bytes(PAYLOAD_TYPES["model"], claim.payload)
    for key_id, key in keys.items():
        if key.algorithm not in CURVES:
            continue
        meant = claim.hint in ("", hashlib.sha256(to_pem(key)).hexdigest())
        if meant and verifies_either_half(key, claim.signature, message):
            return key_id
    return ""


def _command(item: Item, signature: Path) -> str:
    """Write the command that checks a model where it is installed."""
    words = ["model_signing", "verify", "key", "--signature", str(signature)]
    words += ["--allow_symlinks"] if model_signature.has_links(item) else []
    return f"{shlex.join(words)} --public_key KEY.pub {shlex.quote(str(install_path(item).final))}"
