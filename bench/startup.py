"""How long whole processes of the command line take, on a machine that does little else.

    python bench/startup.py [ROUNDS]

Prints the median and the worst of some rounds, in milliseconds, beside what the project promises.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import sides, stores
from tests.support.sides import Side

PROMISED_MS: Final = {"--help": 250, "verify": 500}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as name:
        side, archive = prepare(Path(name))
        for words in (["--help"], ["inspect", archive], ["verify", archive], ["import", archive]):
            times = [measure(side, words) for _ in range(rounds + 1)][1:]  # the first warms caches
            promise = PROMISED_MS.get(words[0])
            print(
                f"airgap {words[0]:<8} median {statistics.median(times):4.0f} ms,"
                f" worst {max(times):4.0f} ms" + (f"  (promised: {promise} ms)" if promise else "")
            )


def prepare(top: Path) -> tuple[Side, str]:
    """Make a small bundle, and a side that trusts it."""
    connected, isolated = Side(top / "connected"), Side(top / "isolated")
    site = sides.make_site(top / "site")
    sides.trust(isolated, site)
    stores.add_model(connected, "ranker:v1", {"weights.bin": stores.noise(400_000)})
    stores.add_bento(connected, "shop:v1", {"src/service.py": b"#\n" * 500}, models=["ranker:v1"])
    archive = top / "shop.airgap"
    ran = connected.run("export", "shop:v1", "-o", archive, "--key", site.key())
    if ran.code:
        raise SystemExit(ran.err)
    return isolated, str(archive)


def measure(side: Side, words: Sequence[str]) -> float:
    """Run one process; return its milliseconds."""
    environment = {**os.environ, **side.environment}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "airgap", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
