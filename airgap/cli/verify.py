"""``airgap verify``: read and check everything an import would read; write nothing."""

import click

from airgap.cli.shell import Result, jobs_option, make_progress, reports, size_text


@click.command(name="verify")
@click.argument("source", metavar="SRC")
@jobs_option
@reports
def command(*, source: str, jobs: int | None) -> Result:
    """Check signatures and every byte of the bundle in SRC; write nothing.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, - for standard input, or an
    archive or folder for stock BentoML with its .airgap-manifest beside it. Says for each role who
    signed; where signatures are missing, whose they may be and how they are made.
    """
    from airgap.flow import bundles, inbound, pipeline  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415

    with bundles.open_bundle(source, bundles.require_root()) as opened:
        read = inbound.verify_content(
            opened, jobs=jobs or pipeline.default_jobs(), progress=make_progress()
        )
        manifest = opened.manifest.value
        about = flow_reports.describe_bundle(opened.bundle, manifest)
        about |= {"verified": True, "bytes_read": read, **flow_reports.signers_of(opened)}
        about["passed_over"] = list(opened.passed_over)
        signed = flow_reports.signer_lines(opened)
    lines = [f"OK: {item} ({size_text(item.size)})" for item in manifest.items]
    lines += signed
    lines += [f"passed over: {line}" for line in opened.passed_over]
    what = f"Packs intact: {len(manifest.packs)}" if manifest.packs else "Bytes read"
    lines.append(f"Site {about['site']} demands no more. {what} ({size_text(read)}).")
    lines.append(f"bundle {opened.bundle}")
    return Result(about, lines)
