"""Packs that are damaged or missing, for people: on which volumes they are, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format.volume import Label

__all__ = ["MissingVolumes", "format_volumes", "merge_errors", "refusal"]


@dataclass(frozen=True, slots=True)
class MissingVolumes:
    """What is known when packs could not be read. Packs are given by index."""

    failed: Mapping[int, AirgapError]
    total: int
    """How many packs were wanted."""
    labels: Sequence[Label] = ()
    """The labels of the volumes that were read now."""
    damaged_before: frozenset[int] = frozenset()
    """Packs that an earlier volume had, and that were damaged there."""
    once_more: tuple[int, ...] = field(default=())
    """Volumes that, given again, let parity make the damaged packs again."""
    is_kept: bool = False
    """Whether the next run continues from this one."""
    parity_will_do: bool = False
    """Whether parity gives back what is damaged, if all else comes."""
    names: Mapping[int, str] = field(default_factory=dict)
    """The depot names of the packs that were damaged before."""

    @property
    def seen(self) -> set[int]:
        """The numbers of the volumes that were read now."""
        return {label.number for label in self.labels}

    @property
    def bad(self) -> list[int]:
        """Packs that a volume should have given and did not, now or before."""
        return [
            pack
            for pack, error in self.failed.items()
            if pack in self.damaged_before
            or not isinstance(error, MissingError)
            or self.labels[0].volume_of(pack) in self.seen
        ]

    @property
    def awaited(self) -> list[int]:
        """The numbers of the volumes that have not come."""
        bad = set(self.bad)
        return sorted({self.labels[0].volume_of(pack) for pack in self.failed if pack not in bad})


def refusal(missing: MissingVolumes) -> AirgapError:
    """Make one error of all missing packs: corrupt if one was damaged now, else missing."""
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
            f"{_count_packs(len(bad))} of {format_volumes(numbers)} {verb} damaged or missing"
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
    """Write ``volume 3``, or ``volumes 2 and 5``, or ``volumes 1, 2 and 5``; nothing for none."""
    if len(numbers) > 1:
        return f"volumes {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return "".join(f"volume {number}" for number in numbers)


def _describe_pack(missing: MissingVolumes, pack: int) -> str:
    """Describe a bad pack: as the volume that was read now gives it, or as one that came before."""
    error, number = missing.failed[pack], missing.labels[0].volume_of(pack)
    if number in missing.seen or not isinstance(error, MissingError):
        return error.message
    return f"{missing.names[pack]} came damaged on volume {number}."


def _count_packs(count: int) -> str:
    return "1 pack" if count == 1 else f"{count} packs"


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
        return f"Parity makes that good: run the same command with {again} once more, in any order."
    copy = f"another copy of {bad}" if bad_volumes else ""
    if not missing.awaited:
        return f"{kept} {copy}."
    if missing.parity_will_do:
        return f"{kept} each that comes; parity then makes good what is damaged."
    return f"{kept} each that comes, and with {copy}." if copy else f"{kept} each that comes."


def merge_errors(problems: Sequence[AirgapError], total: int) -> AirgapError:
    """Make one error of all packs' problems: its kind is theirs, or corrupt if they differ."""
    first, *more = problems
    if not more:
        return first
    kind = type(first) if len({type(error) for error in problems}) == 1 else CorruptError
    return kind(
        f"{len(problems)} of {total} packs are damaged or missing.",
        "Copy these files from their source again and run the same command again.",
        [error.message for error in problems],
    )
