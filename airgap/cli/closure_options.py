"""Options that say what travels with Bentos beside models, so that they run there."""

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.exporting.packages import PackageOptions

__all__ = ["closure_options"]


def closure_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a closure: it gets them as ``closure``."""

    def run(*args: object, **kwargs: Any) -> int:  # noqa: ANN401  (click's)
        from airgap.flow.exporting.closure import (
            Closure,
            parse_files,
            parse_images,
            parse_platforms,
        )

        files = [parse_files(text) for text in kwargs.pop("files")]
        closure = Closure(
            files=files,
            packages=_pop_packages(kwargs),
            pythons=kwargs.pop("pythons"),
            images=parse_images(kwargs.pop("images")),
            platforms=parse_platforms(kwargs.pop("platforms")),
        )
        if closure.platforms and not closure.images:
            raise UsageError("--platform is for images.", "Give --image too.")
        return command(*args, closure=closure, **kwargs)

    update_wrapper(run, command)
    for option in reversed((*_PACKAGE_OPTIONS, _PYTHON_OPTION, _FILES_OPTION, *_IMAGE_OPTIONS)):
        option(run)
    return run


_PACKAGE_OPTIONS = (
    click.option(
        "--with-env",
        is_flag=True,
        help="Also carry the Python packages that the Bentos need, as wheels.",
    ),
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="TARGET",
        help="With --with-env: the Python and platform of the other side, such as"
        " cp311-musllinux_1_2_aarch64; repeat it. Default: the Bento's Python, manylinux_2_28,"
        " this machine's architecture.",
    ),
    click.option(
        "--index",
        "indexes",
        multiple=True,
        metavar="[NAME=]URL",
        help="With --with-env: look packages up here, and not where the Bento says; repeat it, the"
        " most important first. The password of NAME is in UV_INDEX_NAME_PASSWORD.",
    ),
    click.option(
        "--wheel",
        "wheels",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="With --with-env: take this wheel, for a package that has none; repeat it.",
    ),
    click.option(
        "--build-sdists",
        is_flag=True,
        help="With --with-env: build packages that have no wheel. This runs their code.",
    ),
    click.option(
        "--upgrade",
        is_flag=True,
        help="With --with-env: resolve again, although the packages are on this machine from an"
        " earlier export. Versions in the Bento's own lock stay.",
    ),
)
_PYTHON_OPTION = click.option(
    "--python",
    "pythons",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Also carry this Python, for hosts that lack its version: a .tar.gz of a build that runs"
    " wherever it lies; repeat it.",
)
_FILES_OPTION = click.option(
    "--files",
    "files",
    multiple=True,
    metavar="NAME=FOLDER[:VARIABLE]",
    help="Also carry this folder, which a Bento reads at run time, such as"
    " encodings=cache/tiktoken:TIKTOKEN_CACHE_DIR; on the other side, the variable names it."
    " Repeat it.",
)
_IMAGE_OPTIONS = (
    click.option(
        "--image",
        "images",
        multiple=True,
        metavar="REF|PATH[:REF]",
        help="Also carry this container image: an OCI layout or archive, a file of `docker save`,"
        " or by skopeo from a registry; repeat it.",
    ),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH",
        help="Of an image for several platforms, carry only this one, such as linux/amd64; repeat"
        " it.",
    ),
)


def _pop_packages(kwargs: dict[str, Any]) -> "PackageOptions | None":
    """Take the options about Python packages; None if none are wanted.

    Raises:
        UsageError: one of them is malformed, or given without ``--with-env``.
    """
    with_env, build_sdists = kwargs.pop("with_env"), kwargs.pop("build_sdists")
    upgrade = kwargs.pop("upgrade")
    targets, indexes = kwargs.pop("targets"), kwargs.pop("indexes")
    wheels = kwargs.pop("wheels")
    if with_env:
        from airgap.flow.exporting.packages import parse_packages

        return parse_packages(targets, indexes, wheels, build_sdists=build_sdists, upgrade=upgrade)
    source = click.get_current_context().get_parameter_source
    options = ("targets", "indexes", "wheels", "build_sdists", "upgrade")
    if any(source(option) is ParameterSource.COMMANDLINE for option in options):  # not from a file
        raise UsageError(
            "--target, --index, --wheel, --build-sdists and --upgrade say how packages are"
            " collected.",
            "Add --with-env.",
        )
    return None
