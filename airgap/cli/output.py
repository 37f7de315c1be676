"""What all commands share: options, output for people and programs, and progress."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import click

from airgap.cli import terminal
from airgap.cli.passphrases import passphrase_options
from airgap.cli.progress import make_progress
from airgap.cli.terminal import Line
from airgap.errors import ConfigurationError, StorageError
from airgap.printable import count_text, size_text

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector

__all__ = [
    "OutputPath",
    "Result",
    "admission_options",
    "answers",
    "count_text",
    "depot_option",
    "identity_option",
    "jobs_option",
    "key_options",
    "licence_option",
    "location_options",
    "reports",
    "require_key",
    "reread_option",
    "size_text",
    "tmpdir_option",
]

P = ParamSpec("P")
_QUIET: Final = ("Print nothing unless it fails.", "Print no progress and no notes.")
_LEAST_RATE: Final = 10_000  # below it, servers would take us for dead


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: lines for people, a map for programs, and its exit code."""

    data: dict[str, Any]
    lines: Iterable[Line] = field(default=())
    exit_code: int = 0


def reports(work: Callable[P, Result]) -> Callable[..., int]:
    """Give a command that does something ``--json`` and ``--quiet``, and print its result.

    With ``--json``, standard output is exactly one object and people's text goes to standard error.
    With ``--quiet``, success prints nothing.
    """
    return _print_result(work, is_answer=False)


def answers(work: Callable[P, Result]) -> Callable[..., int]:
    """Do the same for a command whose lines are what was asked for: ``--quiet`` keeps them."""
    return _print_result(work, is_answer=True)


def _print_result(work: Callable[P, Result], *, is_answer: bool) -> Callable[..., int]:
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        as_json, quiet = bool(kwargs.pop("as_json")), bool(kwargs.pop("quiet"))
        click.get_current_context().obj = {"quiet": quiet, "json": as_json}
        result = work(*args, **kwargs)
        try:
            if not quiet or (not as_json and (is_answer or result.exit_code)):
                for line in result.lines:
                    terminal.print_line(line, err=as_json)
            if as_json:
                terminal.print_json(result.data)
        except BrokenPipeError:  # whoever reads (`| head`) has enough
            terminal.discard_output()
            return StorageError.exit_code
        except OSError as error:
            raise StorageError(
                f"The work is done, but standard output cannot be written: {error.strerror}.",
                "Look at where it goes.",
            ) from error
        return result.exit_code

    update_wrapper(run, work)  # first: it takes over the options that the work has already
    already = run.__dict__.pop("__click_params__", [])
    for option in (
        click.option("--quiet", "-q", is_flag=True, help=_QUIET[is_answer]),
        # By flag alone: whoever reads the output asked for it, also when nothing else works.
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            allow_from_autoenv=False,
            help="Print one JSON object.",
        ),
    ):
        option(run)
    run.__dict__["__click_params__"] += already  # click turns them round: ours are shown last
    return run


def key_options(command: Callable[P, Any], *, is_required: bool = True) -> Callable[P, Any]:
    """Give a command ``--key``."""
    option = click.option(
        "--key",
        metavar="KEY",
        envvar="AIRGAP_KEY",
        callback=_check_key if is_required else None,
        help="Sign with this: a private key file, ssh-agent:SHA256:… or pkcs11:…  [AIRGAP_KEY]",
    )
    return option(passphrase_options(command))


def _check_key(_context: click.Context, _option: click.Parameter, key: str | None) -> str:
    return require_key(key)


def require_key(key: str | None) -> str:
    """Return the key that was given.

    Raises:
        ConfigurationError: none was.
    """
    if key is None:
        raise ConfigurationError(
            "There is no key to sign with.",
            "Give --key KEY, or set AIRGAP_KEY. On a new machine, `airgap init` makes keys.",
        )
    return key


def jobs_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--jobs``."""
    return click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(1, 64),
        help="Threads; default: the processors there are.",
    )(command)


def tmpdir_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--tmpdir``."""
    return click.option(
        "--tmpdir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="The folder for temporary files; default: the system's.",
    )(command)


def reread_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--reread``."""
    return click.option(
        "--reread",
        is_flag=True,
        help="Also read what has not changed since it was read by an earlier command.",
    )(command)


def admission_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--waiver`` and ``--channel``: what is accepted beyond the site's rules."""
    waiver = click.option(
        "--waiver",
        "waivers",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="A waiver of the site's approvers for an old bundle (see `airgap waive`); repeat it.",
    )
    channel = click.option("--channel", metavar="NAME", help="Accept bundles of this channel only.")
    return waiver(channel(command))


def licence_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--license-policy``; it gets the path as ``licence_policy``."""
    return click.option(
        "--license-policy",
        "licence_policy",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Refuse items whose licence this policy does not allow (see `airgap licenses`).",
    )(command)


def identity_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--identity``: what opens sealed bundles."""
    return click.option(
        "--identity",
        "identities",
        multiple=True,
        metavar="FILE",
        envvar="AIRGAP_IDENTITY",
        help="Open a sealed bundle with the identity in FILE, or in an open descriptor, fd:N;"
        " repeat it.",
    )(command)


def location_options(work: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the ways to reach a server: it gets them as ``connector``."""

    def run(*args: object, **kwargs: Any) -> Result:  # noqa: ANN401  (click's)
        login = {name: kwargs.pop(name) for name in ("user", "password_env", "password_file")}
        transfer = {"limit_rate": kwargs.pop("limit_rate"), "jobs": kwargs.get("jobs")}
        return work(*args, connector=_make_connector(login, transfer), **kwargs)

    update_wrapper(run, work)
    for option in (
        click.option(
            "--limit-rate",
            metavar="RATE",
            type=RateType(),
            help="Send and fetch at most so many bytes per second, such as 500k or 10M.",
        ),
        click.option(
            "--password-file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Take the password from this file of one line.",
        ),
        click.option("--password-env", metavar="VAR", help="Take the password from this variable."),
        click.option("--user", metavar="NAME", help="Log in to the server as this user."),
    ):
        option(run)
    return run


class OutputPath(click.Path):
    """The path of a new file or folder, in a folder that exists."""

    def __init__(self, *, dir_okay: bool = True, file_okay: bool = True) -> None:
        """Say whether it may be a folder, or a file."""
        super().__init__(path_type=Path, dir_okay=dir_okay, file_okay=file_okay)

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """Return the path. Raises MissingError: the folder above it does not exist."""
        from airgap.flow.location.destination import require_folder_above

        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        require_folder_above(path)
        return path


class RateType(click.ParamType):  # type: ignore[type-arg]  # not generic in older releases
    """Bytes per second, with k, M or G for thousands of them."""

    name = "rate"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Return the bytes per second."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)(?:[bB]?(?:/s)?)", str(value))
        rate = int(float(match[1]) * 1000 ** " kmg".index(match[2].lower() or " ")) if match else 0
        if rate < _LEAST_RATE:
            self.fail(f"{value!r} is not a rate of 10k or more.", param, ctx)
        return rate


def _make_connector(login: dict[str, Any], transfer: dict[str, Any]) -> "Connector":
    from airgap.flow.location.connector import Connector, TransferOptions
    from airgap.flow.location.credentials import Credentials

    login["ask"] = terminal.ask_hidden if terminal.can_ask() else None
    return Connector(Credentials(**login), TransferOptions(**transfer), make_progress())


def depot_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--depot``: where the chunks of earlier bundles are."""
    return click.option(
        "--depot",
        "depots",
        multiple=True,
        metavar="LOCATION",
        help="Take chunks that the bundle builds on from this depot or bundle too; repeat it.",
    )(command)
