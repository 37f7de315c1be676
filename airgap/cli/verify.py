"""``airgap verify``: read and check everything an import would read; write nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.shell import (
    Result,
    admission_options,
    jobs_option,
    make_progress,
    place_options,
    reports,
    size_text,
)

if TYPE_CHECKING:
    from airgap.flow.access import Access


@click.command(name="verify")
@click.argument("source", metavar="SRC")
@admission_options
@jobs_option
@reports
@place_options
def command(
    *,
    source: str,
    waivers: tuple[Path, ...],
    channel: str | None,
    jobs: int | None,
    access: "Access",
) -> Result:
    """Check signatures and every byte of the bundle in SRC; write nothing.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, - for standard input, or an
    archive or folder for stock BentoML with its .airgap-manifest beside it. Says for each role who
    signed; where signatures are missing, whose they may be and how they are made. The verdict is
    that of `airgap import`: a bundle that is older than what this site has is refused.
    """
    from airgap.flow import bundles, inbound, judge, pipeline  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415

    with bundles.open_bundle(source, judge.here(waivers, channel), access=access) as opened:
        read = inbound.verify_content(
            opened, jobs=jobs or pipeline.default_jobs(), progress=make_progress()
        )
        manifest = opened.manifest.value
        about = flow_reports.describe_bundle(opened.bundle, manifest)
        about |= {"verified": True, "bytes_read": read, **flow_reports.signers_of(opened)}
        about |= flow_reports.describe_admission(opened)
        signed = flow_reports.signer_lines(opened)
    lines = [f"OK: {item} ({size_text(item.size)})" for item in manifest.items]
    lines += signed
    lines += flow_reports.admission_lines(opened)
    what = f"Packs intact: {len(manifest.packs)}" if manifest.packs else "Bytes read"
    lines.append(f"Site {about['site']} demands no more. {what} ({size_text(read)}).")
    lines.append(f"bundle {opened.bundle}")
    return Result(about, lines)
