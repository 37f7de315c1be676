"""Checks of an archive as plain data, for ``--json`` and for lines."""

from typing import Any

from airgap.flow.archive.check_archive import CheckedArchive
from airgap.format.check_result import MILLION

__all__ = ["describe_archive_check"]


def describe_archive_check(checked: CheckedArchive) -> dict[str, Any]:
    """Describe what a check has found. Digests in hex, sizes in bytes."""
    check, sample = checked.check, checked.check.sample
    return {
        "result": check.verdict,
        "archive": check.archive if checked.raw else None,
        "location": check.location,
        "state": check.state.hex(),
        "bundles": check.bundles,
        "shard": str(check.shard),
        "began": check.began,
        "ended": check.ended,
        "packs": check.packs,
        "packs_read": check.packs_read,
        "packs_read_before": checked.went_on,
        "bytes_read": check.bytes_read,
        "sample": sample
        and {
            "percent": f"{sample.parts * 100 / MILLION:.4f}".rstrip("0").rstrip("."),
            "older_than": sample.older_than,
            "seed": sample.seed,
        },
        "tests": {
            "passed": [test for test in check.tests if test not in check.failed + check.warned],
            "warned": list(check.warned),
            "failed": list(check.failed),
        },
        "problems": [
            {
                "level": one.level,
                "test": one.test,
                "name": one.name,
                "kind": one.kind,
                "text": one.text,
                "needed_by": list(one.needed_by),
            }
            for one in check.problems
        ],
        "problem_count": check.problem_count,
        "mended": list(check.mended),
        "shards": [digest.hex() for digest in check.shards],
        "stored": checked.name or None,
    }
