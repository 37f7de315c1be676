"""How the vectors of reader 2 were made: ``python -m tests.vectors.make_reader_2 FOLDER``.

As for ``make``: the keys are thrown away, and what is committed cannot be made again.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from airgap.format import manifest
from airgap.signing.signer import Signer
from tests.support import forge
from tests.support.forge import Draft
from tests.vectors.describe import describe
from tests.vectors.make import SITE, Bad, _keys, _word, signed, top_field

LABELS = {"classification": "VS: nur für den Dienstgebrauch", "project": "ranker"}
OTHER = b"\1" * 32


def labelled(**fields: object) -> Draft:
    return forge.draft(forge.model({"a.txt": b"a" * 40}), labels=LABELS, reader=2, **fields)


def pair() -> tuple[Draft, Draft]:
    """A bundle that lacks all its chunks, and one that carries them."""
    content, tag = {"a.txt": b"a" * 40}, "ranker:v7"
    first = forge.draft(forge.model(content, tag), channel="weekly", sequence=7)
    first.packs = []
    keys = ("bases", "chunk_counts", "codecs", "offsets", "stored_lengths")
    first.manifest["blocks"] = dict.fromkeys(keys, b"")
    first.manifest["packs"] = dict.fromkeys(("block_counts", "digests", "sizes"), b"")
    completes = bytes.fromhex(forge.names_of(first.raw())[0])
    return first, forge.draft(forge.model(content, tag), completes=completes, reader=2)


def two(what: str, kind: str = "corrupt", section: str = "4.4", /, **fields: object) -> Bad:
    return top_field(what, section, kind, **{"reader": 2, **fields})


CASES = [
    two("no label", labels={}),
    two("33 labels", labels={f"label-{number:02}": "x" for number in range(33)}),
    two("a label with a name in upper case", labels={"Project": "x"}),
    two("a label named latest", labels={"latest": "x"}),
    two("an empty value", labels={"project": ""}),
    two("a value of 129 characters", labels={"project": "x" * 129}),
    two("a value with a line break", labels={"project": "a\nb"}),
    two("a value with a bidirectional override", labels={"project": "a\u202eb"}),
    two("a value with a space at its end", labels={"project": "a "}),
    two("a value not in form C", labels={"project": "fu\u0308r"}),
    two("a value that is a number", labels={"project": 7}),
    two("labels in an array", labels=["project"]),
    two("labels that are nil", labels=None),
    two("a completed bundle of 31 bytes", "corrupt", "4.1", completes=b"1" * 31),
    two("a completed bundle that is nil", "corrupt", "4.1", completes=None),
    two("a number of its own", "corrupt", "22", completes=OTHER, sequence=7),
    two("a bundle by itself that completes another", "missing", "22", completes=OTHER),
    two("a field that nobody knows", "corrupt", "2.1", labels=LABELS, extra=1),
    two("reader 2 without a cause", "policy", "4.1"),
    top_field("labels and reader 1", "4.1", labels=LABELS),
    top_field("labels and reader 3", "4.1", "policy", labels=LABELS, reader=3),
    top_field("a completed bundle and reader 1", "4.1", completes=OTHER),
    top_field("reader 0", "4.1", reader=0),
]


def make(top: Path) -> None:
    """Write all vectors below a folder that is not there yet."""
    top.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        signers = [forge.load_signer(path) for path in _keys(Path(scratch), top / "root")]
    _labelled(top, signers)
    for name, made in zip(("first", "rest"), pair(), strict=True):
        raw = made.raw()
        (top / f"{name}.airgap").write_bytes(signed(raw, made.packs, signers))
        _describe(top / f"{name}.json", raw, signers[:2])
    _bad(top, signers)


def _labelled(top: Path, signers: list[Signer]) -> None:
    made = labelled(audience=["attic", SITE])
    raw, (_, folder) = made.raw(), forge.names_of(made.raw())
    files = forge.members(raw, forge.sign(raw, *signers), made.packs)
    key = signers[0].key.id
    attached = [
        (f"{folder}/builder.slsa.{key}.intoto.json", b"{}\n"),
        (f"{folder}/scanner.{key}.findings", b"nothing was found\n" * 40),
        (f"{folder}/builder.1.{key}.tsr", b"\x30\x03\x02\x01\x00"),
    ]
    forge.write_depot(top / "labelled", [*files, *attached])
    padding = bytes(2048) + b"".join(forge.member(*one) for one in attached)
    members = [*files[:4], ("padding", padding), *files[4:]]
    (top / "labelled.airgap").write_bytes(forge.tar(members))
    _describe(
        top / "labelled.json", raw, signers, {Path(name).name: len(one) for name, one in attached}
    )


def _describe(
    path: Path, raw: bytes, signers: list[Signer], attachments: dict[str, int] | None = None
) -> None:
    described: dict[str, Any] = describe(manifest.decode(raw))
    described["signed_by"] = sorted(signer.key.id for signer in signers)
    described["attachments"] = attachments or {}
    path.write_text(json.dumps(described, indent=1) + "\n")


def _bad(top: Path, signers: list[Signer]) -> None:
    rows = []
    (top / "bad").mkdir()
    for number, case in enumerate(CASES):
        name = f"{number:03}-{'-'.join(_word(word) for word in case.what.split())}.airgap"
        raw = case.write(signers)
        (top / "bad" / name).write_bytes(raw)
        row = {"file": name, "what": case.what, "kind": case.kind, "section": case.section}
        rows.append({**row, "sha256": hashlib.sha256(raw).hexdigest()})
    (top / "bad.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
