"""``airgap verify``: read and check everything an import would read; write nothing."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.output import (
    Result,
    admission_options,
    depot_option,
    jobs_option,
    make_progress,
    place_options,
    reports,
    size_text,
)
from airgap.errors import MissingError

if TYPE_CHECKING:
    from airgap.flow.location.credentials import Access


@click.command(name="verify")
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option(
    "--partial",
    "is_partial",
    is_flag=True,
    help="Exit with 0 if what is here is good, though whole volumes are missing.",
)
@admission_options
@depot_option
@jobs_option
@reports
@place_options
def command(  # noqa: PLR0913, PLR0915  (one argument per option)
    *,
    sources: tuple[str, ...],
    is_partial: bool,
    waivers: tuple[Path, ...],
    channel: str | None,
    depots: tuple[str, ...],
    jobs: int | None,
    access: "Access",
) -> Result:
    """Check signatures and every byte of the bundle in SRC; write nothing.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, - for standard input, an archive
    or folder for stock BentoML with its .airgap-manifest beside it, or volumes of one bundle. Says
    for each role who signed; where signatures are missing, whose they may be and how they are made.
    The verdict is that of `airgap import`: a bundle that is older than what this site has is
    refused.
    """
    from airgap.cli.lines.bundles import admission_lines, parity_lines, volume_lines
    from airgap.flow import pipeline
    from airgap.flow.admission import policy
    from airgap.flow.bundle import base_bundles, model_signatures, open_bundle
    from airgap.flow.describe.bundle import (
        describe_admission,
        describe_bundle,
        describe_signers,
        describe_volumes,
        signer_lines,
    )
    from airgap.flow.importing import install_bundle
    from airgap.flow.media import volumes

    progress = make_progress()
    open_one = partial(open_bundle.open_bundle, judge=policy.load(waivers, channel), access=access)
    with volumes.open_places(sources, open_one, progress) as opened:
        checked = install_bundle.verify_volumes(
            base_bundles.with_depots(opened, depots, access),
            jobs=jobs or pipeline.default_jobs(),
            progress=progress,
        )
        manifest = opened.manifest.value
        about = describe_bundle(opened.bundle, manifest)
        about |= {"verified": checked.lacking is None, "bytes_read": checked.bytes_read}
        about |= describe_signers(opened)
        about |= describe_admission(opened)
        signed = signer_lines(opened)
        found = model_signatures.examine(opened, packs_were_read=True)
        about["model_signatures"] = model_signatures.describe(found)
        parity = parity_lines(checked.parity, checked.damaged_parity)
        about["parity"] = {"intact": checked.parity, "damaged": list(checked.damaged_parity)}
    if checked.lacking:
        about["volumes"] = describe_volumes(checked.lacking)
        lines = volume_lines(checked.lacking)
        code = 0 if is_partial else MissingError.exit_code
        return Result(about, [*lines, *parity, *signed, f"bundle {opened.bundle}"], code)
    lines = [f"OK: {item} ({size_text(item.size)})" for item in manifest.items]
    lines += signed
    lines += model_signatures.lines(found)
    lines += admission_lines(opened)
    what = f"Packs intact: {len(manifest.packs)}" if manifest.packs else "Bytes read"
    lines += parity
    lines.append(f"Site {about['site']} demands no more. {what} ({size_text(checked.bytes_read)}).")
    lines.append(f"bundle {opened.bundle}")
    return Result(about, lines)
