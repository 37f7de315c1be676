"""What lies on the stack of a pickle that is only followed."""

from dataclasses import dataclass, field
from typing import Final, Self

__all__ = ["DATA", "Asked", "Made", "Stored"]


class _Data:
    """Numbers, bytes, lists: what cannot be called, and is not looked into."""


DATA: Final = _Data()


@dataclass(frozen=True, slots=True)
class Asked:
    """A name that the pickle asked for, as ``module.name``."""

    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What a call, or a class without a call, would have returned."""

    name: str
    arguments: object
    state: object = field(default=None)


# Bytes of one number of a storage, by its class.
_WIDTHS: Final = {
    "torch.ComplexDoubleStorage": 16,
    **dict.fromkeys(("torch.DoubleStorage", "torch.LongStorage", "torch.ComplexFloatStorage"), 8),
    **dict.fromkeys(("torch.FloatStorage", "torch.IntStorage", "torch.QInt32Storage"), 4),
    **dict.fromkeys(("torch.HalfStorage", "torch.BFloat16Storage", "torch.ShortStorage"), 2),
    **dict.fromkeys(("torch.CharStorage", "torch.ByteStorage", "torch.BoolStorage"), 1),
    **dict.fromkeys(("torch.QInt8Storage", "torch.QUInt8Storage"), 1),
    "torch.storage.UntypedStorage": 1,
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor's numbers, which lie beside the pickle under ``key`` and have ``size`` bytes."""

    key: str
    size: int

    @classmethod
    def parse(cls, identity: object) -> Self | None:
        """Return the storage that a persistent identity names; None: it names something else."""
        match identity:
            case ("storage", Asked(name), str(key), str(), int(count)) if name in _WIDTHS:
                return cls(key, count * _WIDTHS[name])
        return None
