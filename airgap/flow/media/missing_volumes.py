"""Errors for damaged and missing packs: on which volumes they are, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format.volume import Label
from airgap.printable import count_text

__all__ = ["MissingVolumes", "format_volumes", "merge_errors", "refusal"]

_LONG_RUN: Final = 8


@dataclass(frozen=True, slots=True)
class MissingVolumes:
    """Packs that cannot be read, by index, and what labels and parity say about them."""

    failed: Mapping[int, AirgapError]
    total: int
    """The number of packs that the import needs."""
    labels: Sequence[Label] = ()
    """The labels of the volumes that were read now."""
    damaged_before: frozenset[int] = frozenset()
    """Packs that were damaged on an earlier volume."""
    once_more: tuple[int, ...] = field(default=())
    """Volumes that, read once more, let parity rebuild the damaged packs."""
    is_kept: bool = False
    """Whether the next run continues from this one."""
    parity_will_do: bool = False
    """Whether parity can rebuild what is damaged once all other volumes are read."""
    names: Mapping[int, str] = field(default_factory=dict)
    """The depot names of the packs that were damaged before."""

    @property
    def seen(self) -> set[int]:
        """The numbers of the volumes that were read now."""
        return {label.number for label in self.labels}

    @property
    def unseen(self) -> list[int]:
        """The numbers of the volumes that were not read now, unless nothing is on them."""
        held = zip(self.labels[0].packs, self.labels[0].parity, strict=True)
        used = {number for number, counts in enumerate(held, 1) if any(counts)}
        return sorted(used - self.seen)

    @property
    def bad(self) -> list[int]:
        """Packs that a volume should have had intact, in this run or an earlier one."""
        return [
            pack
            for pack, error in self.failed.items()
            if pack in self.damaged_before
            or not isinstance(error, MissingError)
            or self.labels[0].volume_of(pack) in self.seen
        ]

    @property
    def awaited(self) -> list[int]:
        """The numbers of the volumes that were not read yet."""
        bad = set(self.bad)
        return sorted({self.labels[0].volume_of(pack) for pack in self.failed if pack not in bad})


def refusal(missing: MissingVolumes) -> AirgapError:
    """Make one error for all missing packs: corrupt if one is damaged here, else missing."""
    damaged = [error for error in missing.failed.values() if not isinstance(error, MissingError)]
    kind = CorruptError if damaged else MissingError
    if not missing.labels:
        return merge_errors(list(missing.failed.values()), missing.total)
    bad = missing.bad
    numbers = sorted({missing.labels[0].volume_of(pack) for pack in bad})
    parts = []
    if bad:
        verb = "is" if len(bad) == 1 else "are"
        parts.append(
            f"{count_text(len(bad), 'pack')} of {format_volumes(numbers)} {verb} damaged or missing"
        )
    if missing.awaited:
        parts.append(f"waiting for {format_volumes(missing.awaited)} of {missing.labels[0].count}")
    text = "; ".join(parts)
    return kind(
        f"{text[0].upper()}{text[1:]}.",
        _hint(missing, numbers),
        [_describe_pack(missing, pack) for pack in sorted(bad)],
    )


def format_volumes(numbers: Sequence[int]) -> str:
    """Write ``volume 3``, or ``volumes 2 and 5``, or ``volumes 1, 2 and 5``; nothing for none.

    Of ascending numbers, a run of eight or more is written ``4 to 500``.
    """
    parts: list[str] = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [str(number) for _, number in group]
        parts += [f"{run[0]} to {run[-1]}"] if len(run) >= _LONG_RUN else run
    if len(numbers) <= 1:
        return "".join(f"volume {part}" for part in parts)
    *first, last = parts
    return f"volumes {', '.join(first)} and {last}" if first else f"volumes {last}"


def _describe_pack(missing: MissingVolumes, pack: int) -> str:
    """Describe a bad pack, as it is on this volume or was on an earlier one."""
    error, number = missing.failed[pack], missing.labels[0].volume_of(pack)
    if number in missing.seen or not isinstance(error, MissingError):
        return error.message
    return f"{missing.names[pack]} came damaged on volume {number}."


def _hint(missing: MissingVolumes, bad_volumes: Sequence[int]) -> str:
    bad, again = (format_volumes(numbers) for numbers in (bad_volumes, missing.once_more))
    if not missing.is_kept and bad_volumes:
        return (
            f"Clean {bad} and try another drive; else get it from the source again."
            " `airgap import` uses parity, if there is any."
        )
    if not missing.is_kept:
        return "Give all volumes at once, or `airgap import` them one by one, as they come."
    kept = "What was verified is kept: run the same command with"
    if not missing.awaited and missing.once_more:
        order, packs = (", in any order", "them") if len(missing.once_more) > 1 else ("", "it")
        return f"Run the same command with {again} once more{order}: parity needs {packs}."
    copy = f"another copy of {bad}" if bad_volumes else ""
    if not missing.awaited:
        return f"{kept} {copy}."
    if missing.parity_will_do:
        return f"{kept} each that comes; parity then makes good what is damaged."
    has_parity = not copy and any(missing.labels[0].parity)
    sooner = " There is parity: fewer may do."
    return (
        f"{kept} each that comes{f', and with {copy}' if copy else ''}."
        f"{sooner if has_parity else ''}"
    )


def merge_errors(problems: Sequence[AirgapError], total: int) -> AirgapError:
    """Make one error for all packs: its kind is theirs, or corrupt if they differ."""
    first, *more = problems
    if not more:
        return first
    kind = type(first) if len({type(error) for error in problems}) == 1 else CorruptError
    return kind(
        f"{len(problems):,} of {count_text(total, 'pack')} are damaged or missing.",
        "Copy these files from their source again and run the same command again.",
        [error.message for error in problems],
    )
