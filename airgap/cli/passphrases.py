"""Passphrases of keys: from a variable, a descriptor or a person; never from the command line."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final, ParamSpec

import click

from airgap.cli import terminal
from airgap.errors import ConfigurationError, UsageError

__all__ = ["passphrase_options", "read_new_passphrase", "read_passphrase"]

P = ParamSpec("P")
DEFAULT_VARIABLE: Final = "AIRGAP_PASSPHRASE"
_TRIES: Final = 3


def passphrase_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command options for its passphrase, which never stands on the command line."""
    environment = click.option(
        "--passphrase-env",
        metavar="VAR",
        help=f"Take the passphrase from this variable.  [{DEFAULT_VARIABLE}]",
    )
    descriptor = click.option(
        "--passphrase-fd",
        metavar="N",
        type=click.IntRange(0),
        help="Read the passphrase from this descriptor.",
    )
    return environment(descriptor(command))


def read_passphrase(variable: str | None, descriptor: int | None) -> Callable[[str], bytes]:
    """Return a function that asks for the passphrase of an existing key, when it is needed."""
    given = cache(lambda: _read_given(variable, descriptor))

    def ask(key: str) -> bytes:
        passphrase = given()
        if passphrase is not None:
            return passphrase
        if not terminal.can_ask():
            raise ConfigurationError(
                f"There is no terminal to ask for the passphrase of {key}.",
                f"Set {DEFAULT_VARIABLE}, or use --passphrase-env or --passphrase-fd.",
            )
        return _ask(f"Passphrase of {key}: ")

    return ask


def read_new_passphrase(variable: str | None, descriptor: int | None) -> Callable[[str], bytes]:
    """Return a function that asks twice for the passphrase of a new key, by the key's name.

    The function raises:
        ConfigurationError: there is no way to ask, or it is empty.
        UsageError: the two differ.
    """
    given = cache(lambda: _read_given(variable, descriptor))

    def ask(name: str) -> bytes:
        passphrase = given()
        if passphrase is None:
            passphrase = _ask_twice(name)
        if not passphrase:
            raise ConfigurationError(
                "The passphrase is empty.", "Use --no-passphrase if you mean it."
            )
        return passphrase

    return ask


def _ask_twice(name: str) -> bytes:
    if not terminal.can_ask():
        raise ConfigurationError(
            "There is no terminal to ask for a passphrase.",
            "Use --passphrase-env, --passphrase-fd or --no-passphrase.",
        )
    prompt = f"Passphrase for the new key {name}: "
    for _ in range(_TRIES):
        passphrase = _ask(prompt)
        if _ask("Again: ") == passphrase:
            return passphrase
        terminal.print_line("They differ. Type it again.", err=True)
    raise UsageError("The two passphrases differ.", "Run the same command again.")


def _ask(prompt: str) -> bytes:
    return os.fsencode(terminal.ask_hidden(prompt))


def _read_given(variable: str | None, descriptor: int | None) -> bytes | None:
    """Return the passphrase that the environment or a descriptor holds, if one does."""
    from airgap.flow.trust.keys import GivenPassphrase

    if descriptor is not None:
        try:
            with os.fdopen(descriptor, "rb") as file:
                secret = file.read(4096).rstrip(b"\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"Descriptor {descriptor} cannot be read: {error.strerror}.",
                "Open it in the shell, as in: airgap … --passphrase-fd 3 3<file",
            ) from error
        return GivenPassphrase(secret, f"descriptor {descriptor}")
    name = variable or DEFAULT_VARIABLE
    value = os.environ.get(name)
    if variable and value is None:
        raise ConfigurationError(f"The variable {variable} is not set.", "Set it, or name another.")
    return None if value is None else GivenPassphrase(os.fsencode(value), f"the variable {name}")
