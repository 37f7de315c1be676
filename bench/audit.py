"""How long `airgap audit` takes for ledgers of many entries: processor time, memory, bytes.

python bench/audit.py [ENTRIES]
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.audited_site import begin_site
from tests.support.signers import person

BUNDLES_PER_ENTRIES = 4  # exported, imported, and the receipt in both ledgers


def make_site(top: Path, entries: int) -> list[str]:
    """Write two joined ledgers of so many entries; return the arguments of the command."""
    site = begin_site(top)
    signed = {"builder": (person("bob").key.id,), "scanner": (person("sam").key.id,)}
    for number in range(1, entries // BUNDLES_PER_ENTRIES + 1):
        bundle = number.to_bytes(32, "big")
        about = {"bundle": bundle, "channel": "nightly", "sequence": number}
        receipt = {"documents": {"receipt": bundle}}
        site.exports.append("exported", number, **about, signed_by=signed)
        site.imports.append("imported", number, **about, signed_by=signed)
        site.imports.append("receipt-made", number, **about, **receipt)
        site.exports.append("receipt-accepted", number, **about, **receipt)
    site.write()
    words = ["audit", "-o", str(top / "report.html"), "--fingerprint", site.fingerprint]
    for name in ("exports", "imports"):
        words += ["--ledger", str(top / name)]
    for path in site.root_files:
        words += ["--root", str(path)]
    return words


def measure(words: list[str], state: Path) -> tuple[float, int]:
    """Run the command; return its processor time in seconds and its peak memory in bytes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "AIRGAP_HOME": str(state), "BENTOML_HOME": str(state / "bentoml")}
    command = [sys.executable, "-m", "airgap", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, after.ru_maxrss * 1024


def main() -> None:
    """Print one line for the report, and one for the report with its evidence."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        words = make_site(top / "site", entries)
        rounds = [measure(words, top / "state") for _ in range(3)]
        size = (top / "site/report.html").stat().st_size
        spent, memory = min(rounds)
        print(
            f"{entries:,} entries: {spent:.2f} s, {memory / 1e6:.0f} MB, page {size / 1e6:.1f} MB"
        )
        spent, memory = measure([*words, "--evidence", str(top / "evidence")], top / "state")
        files = sum(path.is_file() for path in (top / "evidence").rglob("*"))
        print(f"with evidence: {spent:.2f} s, {memory / 1e6:.0f} MB, {files:,} files")


if __name__ == "__main__":
    main()
