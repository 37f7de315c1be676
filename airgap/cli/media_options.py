"""Options of commands that write volumes, and their output (format §19)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import click

from airgap.cli.help import HelpCommand
from airgap.errors import UsageError
from airgap.printable import count_text, size_text

if TYPE_CHECKING:
    from airgap.flow.media.split import VolumeOptions

__all__ = ["ManyValues", "media_options", "parity_lines", "read_volume_options", "volume_lines"]

P = ParamSpec("P")
_MOST_PERCENT: Final = 100


class ManyValues(HelpCommand):
    """A command whose ``--volumes`` takes all words up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its words, as click requires."""
        expanded: list[str] = []
        inside = first = False
        for word in args:
            if word.startswith("-") and word != "-":
                inside = first = word == "--volumes"
            elif inside and not first:
                expanded.append("--volumes")
            else:
                first = False
            expanded.append(word)
        return super().parse_args(ctx, expanded)


def _percent(context: click.Context, option: click.Parameter, value: str) -> int:
    """Read a percentage of up to 100, with its sign or without."""
    text = value.strip().removesuffix("%")
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_PERCENT):
        raise click.BadParameter(f"{value!r} is not a percentage up to 100%.", context, option)
    return int(text)


def media_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command the options of volumes and parity."""
    for option in (
        click.option(
            "--verify-after-write",
            is_flag=True,
            help="Read back what was written: volumes from the medium, past the system's cache.",
        ),
        click.option(
            "--parity",
            metavar="PERCENT",
            callback=_percent,
            default="0",
            help="Add this much parity (such as 10%), to restore damaged packs from.",
        ),
        click.option(
            "--volumes",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="DIR...",
            help="Make volumes on these mounted media, all at the same time.",
        ),
        click.option(
            "--volume-size",
            metavar="SIZE",
            help="Make volumes for media of this size: 4G, 16GiB, CD, DVD, DVD-DL, BD25, BD50,"
            " BD100, fat32.",
        ),
    ):
        command = option(command)
    return command


def read_volume_options(
    output: str | None, size: str | None, volumes: Sequence[Path], percent: int, *, read_back: bool
) -> "VolumeOptions":
    """Return the options as one value.

    Raises:
        UsageError: they contradict each other.
    """
    from airgap.flow.media import plan, split

    if size and volumes:
        raise UsageError(
            "--volume-size and --volumes exclude each other.",
            "Give the media that are mounted, or the size of those that will be written later.",
        )
    if volumes and output:
        raise UsageError("--volumes already names the destination.", "Leave out -o.")
    if not volumes and not output:
        raise UsageError("No destination was given.", "Give -o DEST.")
    return split.VolumeOptions(
        Path(output or ""),
        plan.parse_size(size) if size else 0,
        tuple(volumes),
        percent,
        read_back=read_back,
    )


def volume_lines(folders: Sequence[str], sizes: Iterable[tuple[int, int]] = ()) -> list[str]:
    """Say which volumes were written.

    ``sizes`` are the bytes on each, and those of them that were written now, of those on media.
    """
    texts = list(map(_media_text, folders, sizes)) or list(folders)
    return [f"volume {number} of {len(texts)}: {text}" for number, text in enumerate(texts, 1)]


def _media_text(folder: str, sizes: tuple[int, int]) -> str:
    from airgap.flow.disk_use import written_text

    size, written = sizes
    text = written_text(written, Path(folder))
    there = size - written
    return f"{text.removesuffix('.')}; {size_text(there)} was already there." if there else text


def parity_lines(packs: int, parity: int, percent: int, *, survives: bool) -> list[str]:
    """Say how many parity packs were written, and what they protect from.

    Args:
        packs: how many packs the bundle has.
        parity: how many parity packs.
        percent: what was asked for; 0 for those that the source had.
        survives: whether any one of its volumes may be lost.
    """
    if not parity:
        return []
    share = 100 * parity // packs
    more = "; each group of packs of similar size has at least one" if share > percent > 0 else ""
    line = f"Parity: {count_text(parity, 'pack')} for {packs:,} ({share} %{more})."
    if survives:
        return [line, "Any one of these volumes may be lost: parity restores its packs."]
    return [line, "Parity restores single damaged packs, but not a whole volume."]
