"""Describes the Python that runs it, as one line of JSON: ``python -I describe_python.py``.

A process of its own, which old versions of Python can read too; it imports nothing of airgap.
"""

import glob
import json
import os
import platform
import re
import struct
import subprocess
import sys
import sysconfig

_NARROW = {"x86_64": "i686", "aarch64": "armv7l"}
_NARROW_BYTES = 4


def main() -> None:
    """Print the description."""
    name, version = find_libc()
    document = {
        "architecture": find_architecture(),
        "executable": sys.executable,
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "implementation": sys.implementation.name,
        "libc": name,
        "libc_version": version,
        "version": list(sys.version_info[:3]),
    }
    sys.stdout.write(json.dumps(document) + "\n")


def find_architecture() -> str:
    """Return the machine as wheels name it; also that of a 32-bit Python on a 64-bit kernel."""
    machine = platform.machine()
    is_narrow = struct.calcsize("P") == _NARROW_BYTES
    return _NARROW.get(machine, machine) if is_narrow else machine


def find_libc() -> "tuple[str, list[int]]":
    """Return the C library's name in the tags of wheels, and its version."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):
        name, version = "", ""
    if name == "glibc":
        return "manylinux", read_version(version)
    for loader in sorted(glob.glob("/lib/ld-musl-*.so.1")):  # noqa: PTH207  (old versions)
        output = subprocess.run([loader], stderr=subprocess.PIPE, check=False).stderr  # noqa: S603
        match = re.search(r"^Version (\d+\.\d+)", output.decode("ascii", "replace"), re.MULTILINE)
        if match:
            return "musllinux", read_version(match.group(1))
    return "", [0, 0]


def read_version(text: str) -> "list[int]":
    """Return major and minor number."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return [int(match.group(1)), int(match.group(2))] if match else [0, 0]


if __name__ == "__main__":
    main()
