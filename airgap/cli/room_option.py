"""How much room a ``.airgap`` file leaves for later attachments: ``export`` and ``copy``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.location.location import Location

__all__ = ["read_room", "room_option"]

P = ParamSpec("P")


def room_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--room``."""
    return click.option(
        "--room",
        metavar="SIZE",
        help="Leave so much room in a .airgap file for later attachments, such as 6M; default: 64"
        " kB, for signatures.",
    )(command)


def read_room(text: str | None, target: "Location | None") -> int:
    """Return the bytes that were asked for; 0 if none were.

    Raises:
        UsageError: it is not a size, or more than a bundle may have; or a depot is written.
    """
    from airgap.flow.location.location import LocalDepot, RemoteDepot
    from airgap.flow.media.plan import parse_size
    from airgap.format import limits

    if text is None:
        return 0
    size = parse_size(text)
    if size > limits.ATTACHMENTS_BYTES:
        raise UsageError(
            f"A bundle has at most {limits.ATTACHMENTS_BYTES // limits.MIB} MiB of attachments.",
            "Give a smaller --room.",
        )
    if target is None or isinstance(target, LocalDepot | RemoteDepot):
        raise UsageError(
            "--room is for .airgap files: a depot takes attachments at any time.",
            "Leave out --room, or give a name that ends in .airgap.",
        )
    return size
