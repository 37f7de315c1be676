"""``airgap pull``: get a Bento or model out of a depot."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.import_ import result_of
from airgap.cli.output import (
    Result,
    admission_options,
    depot_option,
    jobs_option,
    make_progress,
    place_options,
    reports,
)

if TYPE_CHECKING:
    from airgap.flow.location.credentials import Access


@click.command(name="pull")
@click.argument("tag", metavar="TAG")
@click.argument("depot", metavar="DEPOT")
@click.option("--model", "is_model", is_flag=True, help="TAG is a model's, not a Bento's.")
@click.option(
    "--with-models/--no-models",
    default=True,
    show_default=True,
    help="Whether the models that the Bento names are installed too.",
)
@click.option("--force", is_flag=True, help="Replace what is here with other content.")
@click.option("--dry-run", is_flag=True, help="Check signatures and say what would be done.")
@admission_options
@depot_option
@jobs_option
@reports
@place_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    tag: str,
    depot: str,
    is_model: bool,
    with_models: bool,
    force: bool,
    dry_run: bool,
    waivers: tuple[Path, ...],
    channel: str | None,
    depots: tuple[str, ...],
    jobs: int | None,
    access: "Access",
) -> Result:
    """Install the Bento TAG with its models from DEPOT (a folder, a URL or @REMOTE), verified.

    It comes from the newest bundle that has it and that this site admits; DEPOT#ID names another.
    Without a version, or with `latest`, it is the newest. Of the bundle, only what TAG needs is
    read, and what is installed is not fetched again.
    """
    from airgap.cli.lines.bundles import admission_lines
    from airgap.flow import pipeline
    from airgap.flow.admission import policy
    from airgap.flow.depot import list_tags, pull
    from airgap.flow.describe.bundle import describe_admission, describe_signers
    from airgap.flow.importing import install_bundle

    wanted = pull.Pull(
        list_tags.parse_tag(tag, "model" if is_model else "bento"),
        depot,
        with_models=with_models,
        depots=depots,
    )
    judged = policy.load(waivers, channel)
    with pull.open_for_pull(wanted, judged, access, remember=not dry_run) as opened:
        done = install_bundle.import_bundle(
            opened,
            replace=force,
            dry_run=dry_run,
            jobs=jobs or pipeline.default_jobs(),
            progress=make_progress(),
        )
        about = {"bundle": opened.bundle, "dry_run": dry_run, **describe_signers(opened)}
        about |= describe_admission(opened)
        notes = [f"from bundle {opened.bundle}", *admission_lines(opened)]
    return result_of(done, about, notes)
