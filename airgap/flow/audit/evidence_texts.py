"""The programs and texts of an evidence folder: they come last, and name what is there (§38.4)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from airgap.carrier.texts import texts
from airgap.flow.audit.citations import CHECK_ENTRY, VERIFY_LEDGER
from airgap.flow.audit.evidence_files import SUMS, EvidenceFiles
from airgap.flow.ledger import prove
from airgap.format import layout

__all__ = ["write_texts"]

_README: Final = """\
Evidence of an audit of site {site}, made at {made_at} by {tool}

  report.html              the report; report.json has the same for programs
  check.sh                 runs every command of the report, and says which one fails
  root/                    the roots of the site; keys/ has the public keys that signed something
  ledgers/                 entries of ledgers, with the checkpoints that their recorders signed,
                           and a proof for each entry that the report names (proofs/)
  bundles/                 manifests, and every file beside them, byte for byte; no packs
  receipts/                receipts, byte for byte
  signed/                  the exact bytes under each signature (.pae), and the signature (.sig)
  check-entry.sh, verify-ledger.py, verify.py
                           programs that check entries, ledgers and bundles without airgap
  SHA256SUMS               for sha256sum -c: every other file

1. Take the fingerprint of the site's root from its records, on paper, and compare:

       {fingerprint}

2. Check everything with openssl (3.0; 3.5 for ML-DSA), python3 and the tools of any POSIX system:

       sh check.sh

The copies of the programs here prove nothing: who can change the folder can change them, too. Read
them, or take them from a copy of airgap that you trust.

The packs are not here. With the depot, check all that the builders signed:

       python3 verify.py DEPOT#BUNDLE --root ROOT --fingerprint SHA256:...
"""


def write_texts(report: Mapping[str, Any], files: EvidenceFiles) -> None:
    """Write the programs, the script with every command of the report, and the list of digests.

    Raises:
        StorageError: the disk refused.
    """
    folder = Path(prove.__file__).parent / "texts"
    files.add(CHECK_ENTRY, (folder / "check.sh").read_bytes())
    files.add(VERIFY_LEDGER, (folder / "verifier.txt").read_bytes())
    files.add(layout.VERIFIER_NAME, texts()[layout.VERIFIER_NAME])
    words = {name: report[name] for name in ("site", "made_at", "tool")}
    readme = _README.format(**words, fingerprint=report["root"]["fingerprint"])
    files.add("README.txt", readme.encode())
    files.add("check.sh", _make_script(report))
    files.add(SUMS, files.list_sums())


def _make_script(report: Mapping[str, Any]) -> bytes:
    """Return the script: a head, and each command of the report between two marks."""
    head = (Path(__file__).parent / "texts/check-head.sh").read_text()
    rows = [
        f"check {item['number']} <<'END'\n{item['command']}\nEND\n" for item in report["evidence"]
    ]
    return f"{head}{''.join(rows)}finish {len(rows)}\n".encode()
