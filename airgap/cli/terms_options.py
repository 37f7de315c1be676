"""Options that say on which terms a bundle is signed: for ``export``, ``kit`` and ``push``."""

from collections.abc import Callable
from dataclasses import replace
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.times import read_expiry

if TYPE_CHECKING:
    from airgap.flow.exporting.terms import Terms

__all__ = ["bundle_options", "terms_options"]


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


def bundle_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the terms with a number, and the roots that travel: ``terms``, ``roots``.

    The roots are the files that a depot has for them, by name.
    """

    def run(
        *args: object,
        terms: "Terms",
        sequence: int | None,
        roots: tuple[Path, ...],
        **kwargs: Any,  # noqa: ANN401  (click's)
    ) -> int:
        from airgap.flow.trust.roots import collect_depot_files

        files = collect_depot_files(roots)
        return command(*args, terms=replace(terms, sequence=sequence), roots=files, **kwargs)

    update_wrapper(run, command)
    for option in (
        click.option(
            "--include-root",
            "roots",
            type=click.Path(path_type=Path),
            multiple=True,
            metavar="FILE",
            help="Also carry this signed root, for `airgap trust` on the other side; repeat it.",
        ),
        click.option(
            "--sequence",
            type=click.IntRange(0, 2**53 - 1),
            metavar="N",
            help="The number in the channel, instead of its next one; 0: none.",
        ),
    ):
        option(run)
    return terms_options(run)
