"""Options that say what travels beside the manifest: ``export`` and ``push``."""

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

__all__ = ["attachment_options"]


def attachment_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command what is attached to a bundle as it is made: it gets it as ``attachments``."""

    def run(*args: object, **kwargs: Any) -> int:  # noqa: ANN401  (click's)
        from airgap.flow.bundle.foreign_file import read_foreign_file
        from airgap.flow.exporting.attachment_options import AttachmentOptions
        from airgap.flow.exporting.attachments import parse_builder_id

        builder_id = kwargs.pop("builder_id")
        attachments = AttachmentOptions(
            [read_foreign_file(path) for path in kwargs.pop("attached")],
            kwargs.pop("bill"),
            parse_builder_id(builder_id) if kwargs.pop("provenance") else None,
        )
        return command(*args, attachments=attachments, **kwargs)

    update_wrapper(run, command)
    for option in (
        click.option(
            "--builder-id",
            metavar="URI",
            default="",
            help="With --provenance: a URI that says who builds here; default: airgap:builder/ and"
            " the id of the key.",
        ),
        click.option(
            "--provenance",
            is_flag=True,
            help="Also sign how the bundle was made, for other programs (SLSA provenance).",
        ),
        click.option(
            "--bom",
            "bill",
            is_flag=True,
            help="Let the bill of materials travel with the bundle, signed; see `airgap bom`.",
        ),
        click.option(
            "--attach",
            "attached",
            type=click.Path(path_type=Path),
            multiple=True,
            metavar="FILE",
            help="Let this file of others travel with the bundle, unchecked; see `airgap attach`;"
            " repeat it.",
        ),
    ):
        option(run)
    return run
