"""How fast parity is made and used, as a ratio to copying the same packs, and in how much memory.

    python bench/parity.py [GIGABYTES] [PERCENT]

The packs are noise of 64 MiB in a temporary folder (TMPDIR chooses the disk). Every step runs in a
process of its own, so that its peak memory can be told; copying reads and writes in pieces of 1 MiB
and syncs. Making again: of each group, as many packs are damaged as parity can give back.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from airgap.carrier.local_depot import DepotReader
from airgap.codec import erasure
from airgap.disk.part_file import write_atomically
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import ParityRepair, draft_groups, make_groups
from airgap.flow.progress import Silent
from airgap.format import layout, limits, parity
from airgap.format.manifest import Pack

BUNDLE = "0" * 64
PIECE = limits.MIB


def listed(top: Path) -> list[Pack]:
    """The packs, in the order of the list that ``fill`` wrote."""
    lines = (top / "packs.json").read_text()
    return [Pack(bytes.fromhex(name), size, ()) for name, size in json.loads(lines)]


def fill(top: Path, count: int) -> None:
    import hashlib

    made = []
    for number in range(count):
        data = hashlib.shake_128(b"%d" % number).digest(PIECE) * 64
        data = number.to_bytes(8, "big") + data[8:]
        digest = hashlib.sha256(data).digest()
        write_atomically(top, layout.pack_name(digest), [data])
        made.append((digest.hex(), len(data)))
    (top / "packs.json").write_text(json.dumps(made))


def copy(top: Path) -> None:
    for number, pack in enumerate(listed(top)):
        with (top / layout.pack_name(pack.digest)).open("rb") as source:
            pieces = iter(lambda stream=source: stream.read(PIECE), b"")
            write_atomically(top, f"copy/{number}", pieces)


def make(top: Path, percent: int) -> None:
    packs, reader = listed(top), DepotReader(top, BUNDLE)
    place = top / layout.parity_folder(BUNDLE)
    planned = draft_groups(packs, percent)
    places = [[place] * rows for _, rows in planned]
    groups = make_groups(packs, planned, PackCopies([reader]), places, Silent())
    write_atomically(top, layout.parity_index_name(BUNDLE), [parity.encode(groups)])


def use(top: Path) -> None:
    packs, copies = listed(top), PackCopies([DepotReader(top, BUNDLE)])
    lost = [one for group in copies.index(len(packs)) for one in group.packs[: len(group.parity)]]
    for one in lost:
        (top / layout.pack_name(packs[one].digest)).write_bytes(b"")
    mending = ParityRepair(packs, copies, Silent())
    for one in lost:
        data = mending.take(one)
        assert data is not None  # noqa: S101
        write_atomically(top, layout.pack_name(packs[one].digest), [data])


STEPS = {"copy": copy, "make": make, "tables": make, "use": use}


def timed(top: Path, step: str, *options: str) -> tuple[float, float, float]:
    """Run a step in a process of its own; return seconds, those of the CPU, and MiB of memory."""
    words = [sys.executable, __file__, "--step", step, str(top), *options]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]), float(out[1]), float(out[2])


def step(name: str, top: str, *options: str) -> None:
    if name == "tables":
        erasure.is_fast = lambda: False
        erasure._load_driver = lambda *_: None  # noqa: SLF001
    began = time.perf_counter()
    STEPS[name](Path(top), *map(int, options))
    seconds = time.perf_counter() - began
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(seconds, time.process_time(), int(peak) / 1024)


def main(gigabytes: str = "2", percent: str = "10") -> None:
    with tempfile.TemporaryDirectory(prefix="airgap-bench-") as folder:
        top = Path(folder)
        fill(top, max(1, round(float(gigabytes) * 1e9 / (64 * PIECE))))
        size = sum(pack.size for pack in listed(top)) / 1e6
        print(f"{size:.0f} MB in {len(listed(top))} packs, {percent} % of parity")
        base, base_cpu, _ = timed(top, "copy")
        print("                       wall   CPU  MB/s  of copying  peak")
        print(f"copying            {base:6.1f} s {base_cpu:4.1f} s {size / base:5.0f}")
        named = {"make": "parity by library", "tables": "parity by tables", "use": "making again"}
        for one, title in named.items():
            seconds, cpu, memory = timed(top, one, *([percent] if one != "use" else []))
            rate = f"{seconds:6.1f} s {cpu:4.1f} s {size / seconds:5.0f}  {base / seconds:10.2f}"
            print(f"{title:18} {rate}  {memory:4.0f} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
