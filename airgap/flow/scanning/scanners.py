"""What the site's scanners say of each file: their answers, by a small table of adapters."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.flow.scanning.confined import ScannerAnswer, run_confined
from airgap.flow.scanning.policy import Scanner

__all__ = ["CLEAN", "ask_scanner", "ask_version"]

CLEAN: Final = "clean"
_UNCLEAR: Final = "it did not say anything about the file"
_INFECTED: Final = 1
_CLAMAV: Final = re.compile(r"(?P<path>/.*): (?P<answer>[^:]*)")
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class _Adapter:
    """How a scanner is asked, and what it said by path of a file; what is absent is unclear."""

    options: tuple[str, ...]
    read: Callable[[ScannerAnswer, Sequence[str]], Mapping[str, str]]
    version: tuple[str, ...] = ()


def ask_scanner(scanner: Scanner, folder: Path, sizes: Mapping[str, int]) -> dict[str, str]:
    """Return what a scanner says of each file of a folder: ``clean``, or why it is refused.

    ``sizes`` has the files by path within the folder, with their bytes.

    Raises:
        ConfigurationError: it cannot be confined.
    """
    adapter = _ADAPTERS[scanner.adapter]
    answer = run_confined(scanner, (*adapter.options, str(folder)), folder)
    paths = {f"{folder}/{path}": path for path in sizes}
    said = {} if answer.problem else adapter.read(answer, [*paths])
    results = {path: answer.problem or said.get(full, _UNCLEAR) for full, path in paths.items()}
    for path, size in sizes.items():
        if scanner.largest is not None and size > scanner.largest:
            results[path] = f"it is larger than the {scanner.largest:,} bytes that are looked into"
    return {path: clip_answer(result) for path, result in results.items()}


def ask_version(scanner: Scanner, folder: Path) -> str:
    """Return what a scanner says of its version, on one line; empty if it is not asked."""
    options = _ADAPTERS[scanner.adapter].version
    if not options:
        return ""
    answer = run_confined(scanner, options, folder)
    return clip_answer(answer.output.partition("\n")[0])


def clip_answer(text: str) -> str:
    """Return a text of others as one short line that a terminal shows as it is."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_SHOWN]


def _read_exit_code(answer: ScannerAnswer, paths: Sequence[str]) -> dict[str, str]:
    """A scanner that says one thing about all files: 0 is clean."""
    result = CLEAN if answer.code == 0 else f"it ended with {answer.code}"
    return dict.fromkeys(paths, result)


def _read_clamav(answer: ScannerAnswer, paths: Sequence[str]) -> dict[str, str]:
    """A line for each file, `PATH: OK`; a limit that was exceeded is found as a virus is."""
    if answer.code not in {0, _INFECTED}:
        return dict.fromkeys(paths, f"it ended with {answer.code}")
    results: dict[str, str] = {}
    for line in answer.output.splitlines():
        matched = _CLAMAV.fullmatch(line)
        if matched is None:
            continue
        path, result = matched["path"], matched["answer"]
        if results.get(path, CLEAN) == CLEAN:  # a second line takes nothing back
            results[path] = CLEAN if result in {"OK", "Empty file"} else result
    return results


def _read_json(answer: ScannerAnswer, _: Sequence[str]) -> dict[str, str]:
    """A JSON object for each file on a line of its own: `path` and `verdict`, such as `clean`."""
    results: dict[str, str] = {}
    for line in answer.output.splitlines():
        try:
            match json.loads(line):
                case {"path": str(path), "verdict": str(verdict)}:
                    is_first = path not in results
                    results[path] = verdict if is_first or verdict != CLEAN else results[path]
                case _:
                    return {}
        except (ValueError, RecursionError):
            return {}
    return results if answer.code in {0, _INFECTED} else {}


_ADAPTERS: Final[Mapping[str, _Adapter]] = {
    "clamav": _Adapter(
        (
            *("--recursive", "--stdout", "--no-summary", "--alert-exceeds-max=yes"),
            *("--follow-file-symlinks=0", "--follow-dir-symlinks=0"),
        ),
        _read_clamav,
        ("--version",),
    ),
    "exit": _Adapter((), _read_exit_code),
    "json": _Adapter((), _read_json),
}
