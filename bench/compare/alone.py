"""Runs one script and prints what it took, from a process that is small itself.

The kernel counts what a process had before it became another program: started from the bench, every
tool would seem to need as much memory as the bench.
"""

import json
import os
import sys
import time

_, SCRIPT, OUTPUT = sys.argv
output = os.open(OUTPUT, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
began = time.perf_counter()
process = os.fork()
if not process:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.execlp("bash", "bash", "-ec", f"set -o pipefail; {SCRIPT}")  # noqa: S606
_, status, usage = os.wait4(process, 0)
took = {
    "wall": time.perf_counter() - began,
    "cpu": usage.ru_utime + usage.ru_stime,
    "peak_mb": usage.ru_maxrss * 1024 / 1e6,
}
print(json.dumps(took))
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
