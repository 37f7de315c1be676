"""What the commands share that sign something about a bundle: its id, what is shown, a question."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from airgap.cli import terminal

if TYPE_CHECKING:
    from airgap.flow.bundle.open_to_sign import BundleToSign, UnnamedBundleError
    from airgap.flow.location.connector import Connector
    from airgap.flow.location.location import Location

__all__ = ["SigningPurpose", "bundle_option", "open_shown", "show"]

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class SigningPurpose:
    """What a signature is for, as it is shown."""

    title: str
    """Stands above what is shown: ``To be signed as builder``."""
    verb: str
    """Begins the question: ``Sign``."""
    rest: str
    """Ends the question, after the bundle's id: ``as builder``."""


def bundle_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--bundle``."""
    return click.option(
        "--bundle",
        metavar="ID",
        allow_from_autoenv=False,  # chosen each time, by a person: not by a variable or a file
        help="The full ID of the bundle that you mean; required if SRC holds several.",
    )(command)


@contextmanager
def open_shown(
    source: str, bundle: str | None, purpose: SigningPurpose, connector: "Connector"
) -> "Iterator[BundleToSign]":
    """Open the bundle that is to be signed, and show it.

    On a terminal, ask which bundle is meant if there are several, and whether to sign one that was
    not named by its full id.

    Raises:
        UsageError: another bundle is named than by the location.
        UnnamedBundleError: there is no terminal, and no full id where it is needed.
        AirgapError: as ``open_to_sign``.
    """
    from airgap.flow.bundle.open_to_sign import UnnamedBundleError, name_bundle, open_to_sign
    from airgap.flow.location.location import parse_location

    location = name_bundle(parse_location(source), bundle)
    with ExitStack() as stack:
        try:
            candidate = stack.enter_context(open_to_sign(location, connector))
        except UnnamedBundleError as error:
            location = _ask_which(location, connector, error)
            candidate = stack.enter_context(open_to_sign(location, connector))
        is_named = location.bundle == candidate.bundle
        show(purpose, _lines(candidate), candidate.bundle, is_named=is_named)
        yield candidate


def show(purpose: SigningPurpose, lines: Iterable[str], bundle: str, *, is_named: bool) -> None:
    """Show on standard error what is to be signed; on a terminal, ask if it was not named.

    The question has the full id: it is printed last, below all texts that somebody else chose.

    Raises:
        click.Abort: the answer is no.
    """
    asks = terminal.can_ask() and not is_named
    if asks or not click.get_current_context().obj["quiet"]:
        terminal.print_line(f"{purpose.title}:", err=True)
        for line in lines:
            terminal.print_line(terminal.indent_line(line), err=True)
    if asks:
        terminal.print_line(f"{purpose.verb} bundle {bundle}", err=True)
        terminal.confirm(f"{purpose.rest}?")


def _lines(candidate: "BundleToSign") -> Iterator[str]:
    from airgap.cli.lines.contents import content_lines, item_lines, signature_lines
    from airgap.flow.bundle.open_to_sign import load_known_root
    from airgap.flow.describe.bundle import describe_bundle, describe_claims_to_sign

    description = describe_bundle(candidate.bundle, candidate.manifest)
    yield from content_lines(description)
    yield from item_lines(description["items"])
    claims = describe_claims_to_sign(candidate.evidence, load_known_root())
    yield from signature_lines(claims, candidate.bundle)


def _ask_which(
    location: "Location", connector: "Connector", error: "UnnamedBundleError"
) -> "Location":
    """Show the bundles of a depot, and let a person type the full id of one.

    Raises:
        UnnamedBundleError: there is no terminal; or something else was typed.
    """
    from airgap.cli.lines.depots import depot_lines
    from airgap.flow.bundle.open_to_sign import name_bundle
    from airgap.flow.depot import list_tags
    from airgap.flow.location.location import LocalDepot, RemoteDepot

    if not terminal.can_ask():
        raise error
    if isinstance(location, LocalDepot | RemoteDepot):
        listing = list_tags.list_depot(location, connector)
        for line in depot_lines(listing.bundles, listing.why_not_verified):
            terminal.print_line(line, err=True)
    terminal.print_line(error.message, err=True)
    typed = terminal.ask("Full ID of the bundle")
    return name_bundle(replace(location, bundle=""), "".join(typed.split()).lower())
