"""What to tell people about packs that are damaged or not here: which volumes, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format.volume import Label

__all__ = ["MissingVolumes", "joined", "listed", "refusal"]


@dataclass(frozen=True, slots=True)
class MissingVolumes:
    """What is known when packs could not be had.

    ``labels`` are those of the places that were read now. ``damaged_before`` are packs that an
    earlier volume had and could not give. ``once_more`` are volumes that, given again, let parity
    make the damaged packs again. ``is_kept`` tells that the next run goes on from this one.
    ``names`` has the names of packs that were damaged before. ``parity_will_do`` tells that parity
    gives back what is damaged, if all else comes.
    """

    failed: Mapping[int, AirgapError]
    total: int
    labels: Sequence[Label] = ()
    damaged_before: frozenset[int] = frozenset()
    once_more: tuple[int, ...] = field(default=())
    is_kept: bool = False
    parity_will_do: bool = False
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def seen(self) -> set[int]:
        """The numbers of the volumes that were read now."""
        return {label.number for label in self.labels}

    @property
    def bad(self) -> list[int]:
        """Packs that a volume should have given and did not, now or before."""
        return [
            one
            for one, error in self.failed.items()
            if one in self.damaged_before
            or not isinstance(error, MissingError)
            or self.labels[0].volume_of(one) in self.seen
        ]

    @property
    def awaited(self) -> list[int]:
        """The numbers of the volumes that have not come."""
        bad = set(self.bad)
        return sorted({self.labels[0].volume_of(one) for one in self.failed if one not in bad})


def refusal(found: MissingVolumes) -> AirgapError:
    """Make one error of all that is lacking: corrupt if anything was damaged now, else missing."""
    damaged = [one for one in found.failed.values() if not isinstance(one, MissingError)]
    kind = CorruptError if damaged else MissingError
    if not found.labels:
        return joined(list(found.failed.values()), found.total)
    bad = found.bad
    numbers = sorted({found.labels[0].volume_of(one) for one in bad})
    said = []
    if bad:
        verb = "is" if len(bad) == 1 else "are"
        said.append(f"{_packs(len(bad))} of {listed(numbers)} {verb} damaged or lacking")
    if found.awaited:
        said.append(f"waiting for {listed(found.awaited)} of {found.labels[0].count}")
    text = "; ".join(said)
    return kind(
        f"{text[0].upper()}{text[1:]}.",
        _hint(found, numbers),
        [_detail(found, one) for one in sorted(bad)],
    )


def listed(numbers: Sequence[int]) -> str:
    """Write ``volume 3``, or ``volumes 2 and 5``, or ``volumes 1, 2 and 5``."""
    *most, last = map(str, numbers)
    return f"volumes {', '.join(most)} and {last}" if most else f"volume {last}"


def _detail(found: MissingVolumes, pack: int) -> str:
    """Name a bad pack: as the volume that was read now gives it, or as one that came before."""
    error, number = found.failed[pack], found.labels[0].volume_of(pack)
    if number in found.seen or not isinstance(error, MissingError):
        return error.message
    return f"{found.names[pack]} came damaged on volume {number}."


def _packs(count: int) -> str:
    return "1 pack" if count == 1 else f"{count} packs"


def _hint(found: MissingVolumes, bad_volumes: Sequence[int]) -> str:
    if not found.is_kept and bad_volumes:
        return (
            f"Clean {listed(bad_volumes)} and try another drive; else get it from the source again."
            " `airgap import` uses parity, if there is any."
        )
    if not found.is_kept:
        return "Give all volumes at once, or `airgap import` them one by one, as they come."
    kept = "What was verified is kept: run the same command with"
    if not found.awaited and found.once_more:
        return (
            f"Parity makes that good: run the same command with {listed(found.once_more)} once"
            " more, in any order."
        )
    copy = f"another copy of {listed(bad_volumes)}" if bad_volumes else ""
    if not found.awaited:
        return f"{kept} {copy}."
    if found.parity_will_do:
        return f"{kept} each that comes; parity then makes good what is damaged."
    return f"{kept} each that comes, and with {copy}." if copy else f"{kept} each that comes."


def joined(problems: Sequence[AirgapError], total: int) -> AirgapError:
    """Make one error of all packs' problems: its kind is theirs, or corrupt if they differ."""
    first, *more = problems
    if not more:
        return first
    kind = type(first) if len({type(one) for one in problems}) == 1 else CorruptError
    return kind(
        f"{len(problems)} of {total} packs are damaged or missing.",
        "Copy these files from their source again and run the same command again.",
        [one.message for one in problems],
    )
