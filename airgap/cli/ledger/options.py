"""The options that commands about ledgers share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from airgap.cli.output import Result
from airgap.cli.passphrases import passphrase_options, read_passphrase
from airgap.printable import count_text

if TYPE_CHECKING:
    from airgap.flow.admission.history import Side
    from airgap.flow.ledger.checkpoints import LedgerChoice, SignedCheckpoint
    from airgap.flow.trust.keys import Signer
    from airgap.format.root import Key

__all__ = [
    "ChosenLedger",
    "checkpoint_lines",
    "choose_side",
    "describe_checkpoint",
    "ledger_options",
    "read_recorders",
    "read_witnesses",
    "recorder_option",
    "with_ledger",
    "witness_option",
]

P = ParamSpec("P")


def ledger_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--exports``, ``--site`` and ``--reset``: which ledger of this machine."""
    command = click.option(
        "--reset",
        metavar="N",
        type=click.IntRange(1),
        help="The ledger that the Nth reset put aside; default: the one that goes on.",
    )(command)
    command = click.option(
        "--site",
        metavar="SITE",
        help="The site whose ledger it is; default: the one that this machine trusts.",
    )(command)
    return click.option(
        "--exports",
        is_flag=True,
        help="The ledger of what was exported, signed and approved here; default: that of imports.",
    )(command)


def _signer_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--key``, which AIRGAP_KEY does not stand for: that is a builder's."""
    option = click.option(
        "--key",
        metavar="KEY",
        help="Sign a new checkpoint with this key of a recorder: a private key file,"
        " ssh-agent:SHA256:… or pkcs11:….",
    )
    return option(passphrase_options(command))


def _open_signer(key: str | None, variable: str | None, descriptor: int | None) -> "Signer | None":
    """Open the key that was given, if one was."""
    from airgap.cli.signers import load_signer

    return load_signer(key, read_passphrase(variable, descriptor)) if key else None


@dataclass(frozen=True, slots=True)
class ChosenLedger:
    """A ledger of this machine, and who signs a new checkpoint of it; None: nobody."""

    choice: "LedgerChoice"
    signer: "Signer | None"


def with_ledger(work: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command a ledger of this machine, and the key that signs: it gets ``ledger``."""

    def run(*args: object, **kwargs: Any) -> Result:  # noqa: ANN401  (click's)
        from airgap.flow.ledger.checkpoints import choose_ledger

        side = choose_side(exports=kwargs.pop("exports"))
        choice = choose_ledger(kwargs.pop("site"), side, kwargs.pop("reset") or 0)
        words = (kwargs.pop(name) for name in ("key", "passphrase_env", "passphrase_fd"))
        return work(*args, ledger=ChosenLedger(choice, _open_signer(*words)), **kwargs)

    update_wrapper(run, work)
    return ledger_options(_signer_options(run))


def recorder_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--recorder``."""
    return click.option(
        "--recorder",
        "recorders",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Accept checkpoints that this public key signed; default: the recorders of the root"
        " that this machine trusts.",
    )(command)


def witness_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--witness``."""
    return click.option(
        "--witness",
        "witnesses",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Also verify what this public key signed as a witness; default: the witnesses of the"
        " root that this machine trusts.",
    )(command)


def read_witnesses(paths: tuple[Path, ...], site: str | None) -> "Mapping[str, Key]":
    """Return the keys of witnesses: those that were named, and those of the pinned root."""
    from airgap.flow.ledger.checkpoints import find_witnesses
    from airgap.flow.trust import keys

    named = {key.id: key for key in map(keys.read_public_key, paths)}
    return named if site is None else {**find_witnesses(site), **named}


def choose_side(*, exports: bool) -> "Side":
    """Return which ledger of a site ``--exports`` stands for."""
    return "exporting" if exports else "importing"


def read_recorders(paths: tuple[Path, ...]) -> "tuple[Mapping[str, Key], str | None]":
    """Return the keys that sign checkpoints, and the site whose ledgers they are for.

    Keys that a person names are for any site, which is None.
    """
    from airgap.flow.ledger.checkpoints import choose_ledger, find_recorders
    from airgap.flow.trust import keys

    if paths:
        return {key.id: key for key in map(keys.read_public_key, paths)}, None
    site = choose_ledger(None, "importing").site
    return find_recorders(site), site


def describe_checkpoint(signed: "SignedCheckpoint") -> dict[str, Any]:
    """Describe a verified checkpoint as plain data. Digests and ids in hex."""
    from airgap.times import format_time

    return {
        "origin": signed.point.origin,
        "entries": signed.point.size,
        "root": signed.point.root.hex(),
        "recorder": signed.key.id,
        "witnesses": [
            {"key_id": line.key_id, "name": line.name, "at": format_time(line.at)}
            for line in signed.cosignatures
        ],
        "other_signatures": list(signed.others),
    }


def checkpoint_lines(signed: "SignedCheckpoint") -> list[str]:
    """Return a verified checkpoint for people."""
    from airgap.times import format_time

    lines = [
        f"ledger {signed.point.origin}",
        f"  {count_text(signed.point.size, 'entry', 'entries')}, root {signed.point.root.hex()}",
        f"  signed by recorder {signed.key.id}",
    ]
    for line in signed.cosignatures:
        lines.append(f"  cosigned at {format_time(line.at)} by {line.name}")
        lines.append(f"    {line.key_id}")
    return [*lines, *(f"  also has a signature of {name}, not verified" for name in signed.others)]
