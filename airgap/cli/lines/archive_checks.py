"""Checks of an archive, for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from airgap.cli.terminal import ClaimLine
from airgap.errors import CorruptError, MissingError, NotTrustedError
from airgap.printable import count_text, size_text

__all__ = ["check_lines", "find_check_exit_code"]

_NEXT: Final = {
    "packs": "Give --mend to write bad packs again from parity, or --from a good copy.",
    "manifests": "Copy the manifest from another copy of the archive.",
    "signatures": "Copy the signature from another copy of the archive.",
    "attachments": "Copy the file from another copy of the archive.",
    "parity": "Write the parity again: `airgap split --parity` of a good copy.",
    "records": "Copy the record from another copy of the archive.",
    "roots": "Copy the root from another copy of the archive.",
    "stamps": "Copy the stamp from another copy of the archive.",
}
_CODES: Final = {
    "corrupt": CorruptError.exit_code,
    "not-trusted": NotTrustedError.exit_code,
    "missing": MissingError.exit_code,
}


def check_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Return every problem with its next step, and what was read."""
    told = set()
    for problem in data["problems"]:
        yield ClaimLine(f"{problem['level'].upper()} {problem['name']}: {problem['text']}")
        for bundle in problem["needed_by"]:
            yield f"  needed by bundle {bundle}"
        if problem["level"] == "failed" and problem["test"] not in told:
            told.add(problem["test"])
            yield f"  {_NEXT[problem['test']]}"
    unlisted = data["problem_count"] - len(data["problems"])
    if unlisted:
        yield f"and {count_text(unlisted, 'more problem')}"
    if data["tests"]["passed"]:
        yield f"passed: {', '.join(data['tests']['passed'])}"
    shard = "" if data["shard"] == "1/1" else f"shard {data['shard']}, "
    sample = f" of {data['packs']:,}" if data["sample"] else ""
    before = data["packs_read_before"]
    went_on = f", {before:,} of them before an interruption" if before else ""
    yield (
        f"{data['result']}: {shard}{count_text(data['bundles'], 'bundle')},"
        f" {data['packs_read']:,}{sample} packs ({size_text(data['bytes_read'])}){went_on}"
    )
    if data["stored"]:
        yield f"result {data['stored']}"


def find_check_exit_code(data: Mapping[str, Any]) -> int:
    """Return the exit code of the worst problem; 0 for warnings."""
    kinds = {problem["kind"] for problem in data["problems"] if problem["level"] == "failed"}
    return next((code for kind, code in _CODES.items() if kind in kinds), 0)
