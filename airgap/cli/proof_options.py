"""Options of ``prove`` and ``rehearse``."""

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from airgap.cli.output import OutputPath, Result, tmpdir_option

__all__ = ["proof_options"]


def proof_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the options of a proof: it gets them as ``options``, and ``report``."""

    def run(*args: object, **kwargs: Any) -> Result:  # noqa: ANN401  (click's)
        from airgap.flow.proof.prove import ProofOptions, read_request

        request = kwargs.pop("request")
        options = ProofOptions(
            python=kwargs.pop("python"),
            request=read_request(request) if request else None,
            allowed_hosts=kwargs.pop("allowed_hosts"),
            seconds_to_start=kwargs.pop("time_limit"),
            tmpdir=kwargs.pop("tmpdir"),
        )
        return command(*args, options=options, **kwargs)

    update_wrapper(run, command)
    for option in (
        click.option(
            "--report",
            metavar="FILE",
            type=OutputPath(dir_okay=False),
            help="Also write what was seen into FILE, as JSON, for `airgap attest --findings`.",
        ),
        tmpdir_option,
        click.option(
            "--time-limit",
            metavar="SECONDS",
            type=click.IntRange(1, 86_400),
            default=300,
            show_default=True,
            help="How long the service may take until it is ready.",
        ),
        click.option(
            "--allow-host",
            "allowed_hosts",
            metavar="HOST",
            multiple=True,
            help="Accept that the service asks for this host; repeat it.",
        ),
        click.option(
            "--python",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Use this interpreter; default: as `airgap env create`.",
        ),
        click.option(
            "--request",
            metavar="FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Send this request: a line such as POST /predict, headers, an empty line, the"
            " body. Default: the examples that the service itself gives.",
        ),
    ):
        option(run)
    return run
