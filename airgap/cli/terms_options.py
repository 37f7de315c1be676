"""Options that say on which terms a bundle is signed: for ``export`` and ``push``."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import click

from airgap.cli.times import read_expiry

__all__ = ["terms_options"]


def terms_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the terms that ``export`` and ``push`` share: it gets them as ``terms``."""

    def run(*args: object, **kwargs: Any) -> int:  # noqa: ANN401  (click's)
        from airgap.flow.exporting.terms import Terms, parse_labels

        terms = Terms(
            kwargs.pop("channel"),
            audience=kwargs.pop("audience"),
            expires_at=read_expiry(kwargs.pop("expires")),
            labels=parse_labels(kwargs.pop("labels")),
            allow_credentials=kwargs.pop("allow_credentials"),
        )
        return command(*args, terms=terms, **kwargs)

    update_wrapper(run, command)
    for option in (
        click.option(
            "--allow-credentials",
            is_flag=True,
            help="Go on although an item holds what looks like a password, a token or a private"
            " key.",
        ),
        click.option(
            "--label",
            "labels",
            multiple=True,
            metavar="NAME=VALUE",
            help="Sign this label with the bundle, such as classification=restricted; repeat it.",
        ),
        click.option(
            "--expires",
            metavar="WHEN",
            help="No site imports it after this: 90d or 12w (to the end of that day, UTC), 36h, a"
            " date.",
        ),
        click.option(
            "--audience",
            multiple=True,
            metavar="SITE",
            help="Only this site may import it; repeat it. Default: every site that trusts the"
            " builder.",
        ),
        click.option(
            "--channel",
            metavar="NAME",
            help="Give the bundle this channel's next number: older ones are then refused.",
        ),
    ):
        option(run)
    return run
