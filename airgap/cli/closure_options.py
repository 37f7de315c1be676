"""Options that say what travels with Bentos beside models, so that they run there."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import click

__all__ = ["closure_options"]


def closure_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a closure: it gets them as ``closure``."""

    def run(*args: object, **kwargs: Any) -> int:  # noqa: ANN401  (click's)
        from airgap.flow.exporting.closure import Closure, parse_files

        closure = Closure(files=[parse_files(text) for text in kwargs.pop("files")])
        return command(*args, closure=closure, **kwargs)

    update_wrapper(run, command)
    click.option(
        "--files",
        "files",
        multiple=True,
        metavar="NAME=FOLDER[:VARIABLE]",
        help="Also carry this folder, which a Bento reads at run time, such as"
        " encodings=cache/tiktoken:TIKTOKEN_CACHE_DIR; on the other side, the variable names it."
        " Repeat it.",
    )(run)
    return run
