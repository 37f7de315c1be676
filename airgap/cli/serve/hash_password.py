"""``airgap serve hash-password``: a password for the drop box's config file."""

import getpass
import sys

import click

from airgap.cli.output import Result, reports
from airgap.errors import UsageError


@click.command(name="hash-password")
@reports
def hash_password() -> Result:
    """Hash a password for the drop box's config file.

    Prompts at a terminal; otherwise reads the first line of standard input.
    """
    from airgap.server.dropbox import passwords

    try:
        password_hash = passwords.hash_password(_read_password())
    except ValueError as error:
        raise UsageError(str(error), "Try again.") from error
    return Result({"password": str(password_hash)}, [f'password = "{password_hash}"'])


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise UsageError("The passwords do not match.", "Try again.")
    return password
