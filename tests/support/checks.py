"""Results of checks that are made without an archive."""

from dataclasses import replace
from typing import Any

from airgap.format.check_result import ArchiveCheck, CheckProblem, PackSample
from airgap.format.shard import WHOLE, Shard

__all__ = ["make_bad_check", "make_check", "make_merged", "make_sampled"]

PACK = f"packs/aa/{'aa' * 32}.pack"
NEEDED_BY = ("ab" * 32, "cd" * 32)
MANIFEST = f"bundles/{'cd' * 32}/manifest.msgpack"


def make_check(**changes: Any) -> ArchiveCheck:  # noqa: ANN401  (any field)
    """Make the result of a check that found nothing wrong."""
    check = ArchiveCheck(
        archive="0123456789abcdef" * 2,
        state=b"\x11" * 32,
        bundles=40,
        location="s3://archive.example/depot",
        began="2031-05-01T01:00:00Z",
        ended="2031-05-01T02:30:00Z",
        shard=Shard(3, 64),
        packs=120,
        packs_read=120,
        bytes_read=4_000_000_000,
        tests=("attachments", "manifests", "packs", "parity", "roots", "signatures", "stamps"),
        tool="0.2.0",
    )
    return replace(check, **changes)


def make_bad_check() -> ArchiveCheck:
    """Make a result with a problem of each level."""
    return make_check(
        problems=(
            CheckProblem(
                "failed", "packs", PACK, "corrupt", "it is damaged", ("ab" * 32, "cd" * 32)
            ),
            CheckProblem("warned", "signatures", MANIFEST, "not-trusted", "its key is revoked"),
        ),
        problem_count=2,
        failed=("packs",),
        warned=("signatures",),
        mended=(f"packs/bb/{'bb' * 32}.pack",),
    )


def make_sampled() -> ArchiveCheck:
    """Make the result of a sample."""
    sample = PackSample(50_000, "2031-05-01", 90 * 86_400)
    return make_check(packs_read=6, sample=sample, sampled=b"\x22" * 32)


def make_merged() -> ArchiveCheck:
    """Make a result of two shards."""
    return make_check(shard=WHOLE, shards=(b"\x33" * 32, b"\x44" * 32))
