"""``airgap serve hash-password``: a password for the drop box's config file."""

import sys

import click

from airgap.cli import terminal
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.errors import UsageError


@click.command(name="hash-password", cls=HelpCommand)
@answers
def hash_password() -> Result:
    """Hash a password for the drop box's config file.

    Prompts at a terminal; otherwise reads the first line of standard input.
    """
    from airgap.server.dropbox import passwords

    passwords.require_scrypt()
    try:
        password_hash = passwords.hash_password(_read_password())
    except ValueError as error:
        raise UsageError(str(error), "Try again.") from error
    return Result({"password": str(password_hash)}, [f'password = "{password_hash}"'])


def _read_password() -> str:
    if sys.stdin is None:
        raise UsageError("There is no standard input.", "Pipe the password into airgap.")
    if not terminal.can_ask():
        return sys.stdin.readline().rstrip("\r\n")
    password = terminal.ask_hidden("Password: ")
    if terminal.ask_hidden("Again: ") != password:
        raise UsageError("The passwords do not match.", "Try again.")
    return password
