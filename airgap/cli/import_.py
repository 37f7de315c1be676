"""``airgap import``: verify a bundle and install what it holds."""

import click

from airgap.cli.shell import Result, jobs_option, make_progress, reports, size_text


@click.command(name="import")
@click.argument("source", metavar="SRC")
@click.option("--replace", is_flag=True, help="Replace what is there with other content.")
@click.option("--dry-run", is_flag=True, help="Check signatures and say what would be done.")
@jobs_option
@reports
def command(*, source: str, replace: bool, dry_run: bool, jobs: int | None) -> Result:
    """Verify the bundle in SRC and install its Bentos and models.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, or - for standard input.
    Nothing reaches the stores before all of it is verified. The same import again does nothing.
    """
    from airgap.flow import bundles, inbound, pipeline  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415

    progress = make_progress()
    with bundles.open_bundle(source, bundles.require_root()) as opened:
        done = inbound.import_bundle(
            opened,
            replace=replace,
            dry_run=dry_run,
            jobs=jobs or pipeline.default_jobs(),
            progress=progress,
        )
    about = {
        "bundle": opened.bundle,
        "items": [
            {**flow_reports.describe_item(item), "outcome": outcome}
            for item, outcome in done.outcomes
        ],
        "lacking": list(done.lacking),
        "dry_run": dry_run,
        **flow_reports.signers_of(opened),
    }
    lines = [f"{outcome}: {item} ({size_text(item.size)})" for item, outcome in done.outcomes]
    lines += [f"still missing here: {name}; the Bento needs it" for name in done.lacking]
    if dry_run:
        lines.append("Nothing was written, and packs were not read: `airgap verify` does that.")
    elif all(outcome == "already there" for _, outcome in done.outcomes):
        lines.append("Everything was already there, byte for byte; nothing was done.")
    return Result(about, lines)
