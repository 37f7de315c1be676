"""``airgap serve hash-password``: a line for the drop box's config file."""

import getpass
import sys

import click

from airgap.cli.output import Result, reports
from airgap.errors import UsageError


@click.command(name="hash-password")
@reports
def hash_password() -> Result:
    """Hash a password for the drop box's config file.

    It is asked for at the terminal, or read as the first line of standard input.
    """
    from airgap.server.dropbox import passwords

    try:
        made = passwords.hash_password(_read())
    except ValueError as error:
        raise UsageError(str(error), "Try again.") from error
    return Result({"password": str(made)}, [f'password = "{made}"'])


def _read() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise UsageError("The two passwords differ.", "Try again.")
    return password
