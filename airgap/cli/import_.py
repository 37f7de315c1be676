"""``airgap import``: verify a bundle and install what it holds."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from airgap.flow.bundle.open_bundle import Opened
    from airgap.flow.importing.install_bundle import ImportResult
    from airgap.flow.location.credentials import Access


@click.command(name="import")
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option("--replace", is_flag=True, help="Replace what is there with other content.")
@click.option("--dry-run", is_flag=True, help="Check signatures and say what would be done.")
@click.option(
    "--insecure-allow-unsigned",
    is_flag=True,
    allow_from_autoenv=False,  # said each time, by a person: not by a variable or a file
    help="Take an archive or folder of stock BentoML that has no signed manifest beside it.",
)
@click.option(
    "--model-signatures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put the models' own signatures here, for OpenSSF `model_signing verify`.",
)
@admission_options
@depot_option
@click.option(
    "--want",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="If chunks are lacking, write into FILE what the sender needs for `export --for FILE`.",
)
@jobs_option
@reports
@place_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    replace: bool,
    dry_run: bool,
    insecure_allow_unsigned: bool,
    model_signatures: Path | None,
    waivers: tuple[Path, ...],
    channel: str | None,
    depots: tuple[str, ...],
    want: Path | None,
    jobs: int | None,
    access: "Access",
) -> Result:
    """Verify the bundle in SRC and install its Bentos and models.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, - for standard input, or an
    archive or folder for stock BentoML with its .airgap-manifest beside it; or volumes of one
    bundle, in any order, all at once or one after the other: each run says what is still missing.
    Nothing reaches the stores before all of it is verified. The same import again does nothing.
    """
    from airgap.cli.lines.bundles import admission_lines
    from airgap.flow import pipeline
    from airgap.flow.admission import policy
    from airgap.flow.bundle import base_bundles, open_bundle
    from airgap.flow.describe.bundle import describe_admission, describe_signers
    from airgap.flow.exporting import want as wants
    from airgap.flow.importing import install_bundle, unsigned
    from airgap.flow.media import volumes

    progress = make_progress()
    source = sources[0]
    alone = insecure_allow_unsigned and len(sources) == 1
    form = open_bundle.stock_form(source) if alone else None
    if form and unsigned.is_unsigned(Path(source), form):
        click.secho(unsigned.WARNING.format(source), fg="red", bold=True, err=True)
        done = unsigned.import_unsigned(
            Path(source), form, install_bundle.ImportOptions(replace, dry_run), progress
        )
        return result_of(done, {"bundle": None, "signed_by": [], "dry_run": dry_run})
    judged = policy.load(waivers, channel)
    open_one = partial(open_bundle.open_bundle, judge=judged, remember=not dry_run, access=access)
    with (
        volumes.open_places(sources, open_one, progress) as opened,
        wants.written_to(want, opened),
    ):
        done = install_bundle.import_bundle(
            base_bundles.with_depots(opened, depots, access),
            replace=replace,
            dry_run=dry_run,
            jobs=jobs or pipeline.default_jobs(),
            progress=progress,
        )
        about = {"bundle": opened.bundle, "dry_run": dry_run, **describe_signers(opened)}
        about |= describe_admission(opened)
        notes = admission_lines(opened)
        if model_signatures and not dry_run:
            notes += _hand_out(opened, done, model_signatures, about)
    return result_of(done, about, notes)


def _hand_out(
    opened: "Opened", done: "ImportResult", folder: Path, about: dict[str, Any]
) -> list[str]:
    """Put the models' own signatures into a folder; say what they are and how they are checked."""
    from airgap.flow.bundle import model_signatures

    was_read = any(outcome in ("installed", "replaced") for _, outcome in done.outcomes)
    found = model_signatures.examine(opened, packs_were_read=was_read)
    commands = model_signatures.write(folder, found)
    about["model_signatures"] = model_signatures.describe(found)
    about["model_signature_commands"] = commands
    return model_signatures.lines(found) + [f"  to check it: {one}" for one in commands]


def result_of(done: "ImportResult", about: dict[str, Any], notes: Sequence[str] = ()) -> Result:
    """Say what became of each item."""
    from airgap.flow.describe.bundle import describe_item

    about["items"] = [
        {**describe_item(item), "outcome": outcome} for item, outcome in done.outcomes
    ]
    about["lacking"] = list(done.lacking)
    lines = [f"{outcome}: {item} ({size_text(item.size)})" for item, outcome in done.outcomes]
    lines += [f"still missing here: {name}; the Bento needs it" for name in done.lacking]
    lines += notes
    if about["dry_run"]:
        lines.append("Nothing was written, and packs were not read: `airgap verify` does that.")
    elif all(outcome == "already there" for _, outcome in done.outcomes):
        lines.append("Everything was already there, byte for byte; nothing was done.")
    return Result(about, lines)
