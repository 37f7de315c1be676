"""Changes that hypothesis makes: of byte strings, and of trees of plain values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FEW = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Mutation:
    """One change of a byte string: bytes replaced, put in, taken out, moved or doubled."""

    kind: str
    at: float
    length: int
    data: bytes

    def __call__(self, raw: bytes) -> bytes:
        start = int(self.at * len(raw))
        end = min(len(raw), start + self.length)
        match self.kind:
            case "replace":
                return raw[:start] + self.data + raw[start + len(self.data) :]
            case "insert":
                return raw[:start] + self.data + raw[start:]
            case "delete":
                return raw[:start] + raw[end:]
            case "double":
                return raw[:end] + raw[start:]
            case "flip":
                return raw[:start] + bytes(one ^ 0xFF for one in raw[start:end]) + raw[end:]
            case _:
                return raw[:start]


mutations = st.builds(
    Mutation,
    st.sampled_from(["replace", "insert", "delete", "double", "flip", "cut"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 600),
    st.binary(min_size=1, max_size=40),
)


def leaves(value: object) -> list[Callable[[object], None]]:
    """Return a setter for every place in a tree of plain values."""
    places: list[tuple[Callable[[object], None], object]] = []
    if isinstance(value, dict):
        places = [(partial(value.__setitem__, key), below) for key, below in value.items()]
    elif isinstance(value, list):
        places = [(partial(value.__setitem__, at), below) for at, below in enumerate(value)]
    return [setter for location, below in places for setter in (location, *leaves(below))]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2**53 - 1)
    | st.integers(0, 300)
    | st.text(max_size=20)
    | st.sampled_from(["..", "/etc/passwd", "a/../b", "link", "file", "folder", "latest", "CON"])
    | st.binary(max_size=70),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below),
    max_leaves=6,
)
