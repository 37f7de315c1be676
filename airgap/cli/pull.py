"""``airgap pull``: get a Bento or model out of a depot."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.import_ import make_result
from airgap.cli.output import (
    Result,
    admission_options,
    depot_option,
    identity_option,
    jobs_option,
    licence_option,
    location_options,
    reports,
)

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="pull", cls=HelpCommand)
@click.argument("tag", metavar="TAG")
@click.argument("depot", metavar="DEPOT", envvar="AIRGAP_DEPOT")
@click.option("--model", "is_model", is_flag=True, help="TAG is a model's, not a Bento's.")
@click.option(
    "--with-models/--no-models",
    default=True,
    show_default=True,
    help="Whether the models that the Bento names are installed too.",
)
@click.option("--force", is_flag=True, help="Replace installed items whose content differs.")
@click.option("--dry-run", is_flag=True, help="Check signatures and say what would be done.")
@admission_options
@identity_option
@depot_option
@licence_option
@jobs_option
@reports
@location_options
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
    identities: tuple[str, ...],
    depots: tuple[str, ...],
    licence_policy: Path | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Install the Bento TAG with its models from DEPOT (a folder, a URL or @REMOTE), verified.

    It comes from the newest bundle that has it and that this site admits; DEPOT#ID names another.
    Without a version, or with `latest`, it is the newest. Without DEPOT, it is AIRGAP_DEPOT. Of the
    bundle, only what TAG needs is read (its models and Python packages; folders and images of the
    bundle), and what is installed is not fetched again.
    """
    from airgap.flow.bundle.tag import parse_tag
    from airgap.flow.depot.pull import PullRequest, pull
    from airgap.flow.location.location import parse_depot, parse_location

    request = PullRequest(
        parse_tag(tag, "model" if is_model else "bento"),
        parse_depot(depot),
        with_models=with_models,
        replace=force,
        dry_run=dry_run,
        waivers=waivers,
        channel=channel,
        identities=identities,
        depots=[parse_location(other) for other in depots],
        licence_policy=licence_policy,
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    done = pull(request, connector.progress)
    notes = [f"from bundle {done.opened.bundle}"] if done.opened else []
    return make_result(done, dry_run=dry_run, notes=notes)
