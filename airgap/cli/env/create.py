"""``airgap env create``: make the environment of a Bento."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, count_text, reports
from airgap.cli.progress import make_progress

if TYPE_CHECKING:
    from airgap.flow.environment.create import Created


@click.command(cls=HelpCommand)
@click.argument("tag", metavar="TAG")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--python",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Use this interpreter; default: python3.N on PATH, by what the wheelhouse is for.",
)
@click.option(
    "--wheelhouse",
    metavar="TAG",
    default="",
    help="Use this wheelhouse; default: the Bento's that fits this host.",
)
@click.option(
    "--files",
    multiple=True,
    metavar="TAG",
    help="Let the Bento find this folder of files too; repeat it. Those of its bundle it finds"
    " without.",
)
@reports
def create(
    *,
    tag: str,
    folder: Path | None,
    python: Path | None,
    wheelhouse: str,
    files: tuple[str, ...],
) -> Result:
    """Install the packages of the Bento TAG into DIR, without a network.

    Every wheel is compared with the lock first. DIR must not exist, or be empty; it defaults to
    environments/NAME/VERSION in BentoML's home, and cannot be moved afterwards.
    """
    from airgap.flow.environment.create import CreateOptions
    from airgap.flow.environment.create import create as create_environment

    options = CreateOptions(folder, python, wheelhouse, files)
    progress = make_progress()
    created = create_environment(tag, options, progress)
    commands = created.list_trust_commands()
    if commands:
        progress.note(
            "fapolicyd runs here: it may block the programs, libraries and Python files of the"
            f" Bento and its environment. To trust them, run as root: {'; '.join(commands)}"
        )
    return Result(_describe(created), _lines(created))


def _describe(created: "Created") -> dict[str, Any]:
    from airgap.flow.environment.list_environments import describe_environment

    return {"outcome": created.outcome, **describe_environment(created.environment)}


def _lines(created: "Created") -> list[str]:
    environment = created.environment
    description = environment.description
    if description is None:
        return []
    packages = count_text(description.packages, "package")
    state = "is there already" if created.outcome == "unchanged" else "is ready"
    bundle = f"bundle {description.bundle}"
    lines = [
        f"The environment of {description.bento} {state}: {environment.folder}",
        f"  {packages} for Python {description.python_version}",
        f"  from the wheelhouse {description.wheelhouse}",
        f"  imported with {bundle if description.bundle else 'a bundle that is not known here'}",
        *(f"  with the files {tag}" for tag in description.files),
    ]
    return [*lines, f"Serve it: airgap env run {description.bento}"]
