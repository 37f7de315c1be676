"""Runs a program of the site over a folder: no network, the folder read-only, within limits.

It runs as the user of the import, and can write where that user may; capabilities it has none, so
that it cannot mount the folder once more.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError
from airgap.flow.scanning.policy import Scanner
from airgap.printable import quote

__all__ = ["ScannerAnswer", "run_confined"]

_NAMESPACES: Final = ("--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child")
_PREFIXES: Final = (("unshare", *_NAMESPACES), ("unshare", "--map-root-user", *_NAMESPACES))
_SCRIPT: Final = """
folder=$1 memory=$2; shift 2
mount --make-rprivate / && mount --bind "$folder" "$folder" || exit 125
mount -o remount,bind,ro,nosuid,nodev,noexec "$folder" || exit 125
ulimit -v "$memory" || exit 125
ulimit -f 131072 || exit 125
command -v setpriv > /dev/null || exit 125
setpriv --no-new-privs --bounding-set=-all --inh-caps=-all true || exit 125
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all sh -c '"$@"; exit $?' sh "$@"
"""
"""The last shell is the first process of its namespace: signals that a scanner sends to itself do
nothing to a first process, which would then go on and end as if all were well."""
_UNCONFINED: Final = 125
_OUTPUT_BYTES: Final = 16 * 1024 * 1024
_KILL_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class ScannerAnswer:
    """What a scanner said. ``problem`` says why it counts for nothing; empty: it counts."""

    code: int
    output: str
    problem: str = ""


def run_confined(scanner: Scanner, options: Sequence[str], folder: Path) -> ScannerAnswer:
    """Run a scanner with more options over a folder, and return what it said.

    Raises:
        ConfigurationError: this host gives no namespaces, so that it cannot be confined.
    """
    for prefix in _PREFIXES:
        answer = _run(prefix, scanner, options, folder)
        if answer.code != _UNCONFINED:
            return answer
    raise ConfigurationError(
        f"The scanner {quote(scanner.name)} cannot be confined: this host gives no namespaces.",
        "Install util-linux and permit user namespaces, or import as root.",
    )


def _run(
    prefix: Sequence[str], scanner: Scanner, options: Sequence[str], folder: Path
) -> ScannerAnswer:
    words = [*prefix, "sh", "-c", _SCRIPT, "sh", str(folder), str(scanner.memory // 1024)]
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603  (what the site's policy names)
                [*words, *scanner.command, *options],
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": "/"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return ScannerAnswer(_UNCONFINED, "")
        try:
            code = process.wait(timeout=scanner.seconds)
        except subprocess.TimeoutExpired:
            return ScannerAnswer(-1, "", f"it took longer than {scanner.seconds:,} seconds")
        finally:
            _end(process)
        output.seek(0)
        raw = output.read(_OUTPUT_BYTES + 1)
    if len(raw) > _OUTPUT_BYTES:
        return ScannerAnswer(code, "", f"it said more than {_OUTPUT_BYTES:,} bytes")
    return ScannerAnswer(code, raw.decode("utf-8", "replace"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_KILL_SECONDS)
