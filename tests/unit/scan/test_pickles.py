"""What a followed pickle asks for is what a loaded one would ask for."""

import io
import pickle  # noqa: TID251 -- the real reader, which is given harmless names only
from typing import Final, Self

from hypothesis import example, given, settings
from hypothesis import strategies as st

from airgap.scan.allowed_globals import is_allowed, may_be_called
from airgap.scan.contents import Budget, Content
from airgap.scan.pickles import Pickle, assess_pickle, follow_pickle
from tests.unit.scan.files import CASES, ask, text, wrapped

PIECES: Final = (
    *(ask("os", "system"), ask("collections", "OrderedDict"), ask("builtins", "object")),
    *(ask("copyreg", "_reconstructor"), ask("datetime", "date"), b"(ios\nsystem\n"),
    *(text("os"), text("system"), text("collections"), text("OrderedDict"), text("x")),
    *(b"N", b"K\x01", b"K\x00", b"\x88", b"]", b"}", b")", b"\x8f", b"(", b"1", b"0", b"2"),
    *(b"t", b"l", b"d", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"\x90", b"\x91"),
    *(b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"\x94", b"r\x02\0\0\0", b"j\x02\0\0\0"),
    *(b"R", b"o", b"b", b"\x81", b"\x92", b"\x93", b"\x82\x01", b"Px\n", b"Q", b"."),
)


class _Harmless:
    """Stands for every listed name: it can be called, made, filled and used as a base."""

    def __new__(cls, *_arguments: object, **_names: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_arguments: object, **_names: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _value: object) -> None:
        pass

    def extend(self, _values: object) -> None:
        pass


class _Loader(pickle.Unpickler):
    """The real reader; what it asks for is recorded, and is harmless."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.asked: set[str] = set()

    def find_class(self, module: str, name: str) -> object:
        self.asked.add(f"{module}.{name}")
        return _Harmless


def load(data: bytes) -> set[str]:
    """Load a pickle with the real reader and return what it asked for, whether it ended or not."""
    loader = _Loader(data)
    try:
        loader.load()
    except Exception:  # noqa: BLE001 -- most of them are damaged
        return loader.asked
    return loader.asked


def follow(data: bytes) -> Pickle:
    return follow_pickle(Content.of_bytes(data, Budget()))


@settings(max_examples=400)
@example([text("os"), b"q\x00", text("system"), b"q\x01", b"h\x00", b"h\x01", b"\x93"])
@given(st.lists(st.sampled_from(PIECES), max_size=24))
def test_what_passes_asks_the_real_reader_for_listed_names_only(pieces: list[bytes]) -> None:
    data = b"\x80\x04" + b"".join(pieces) + b"."
    if assess_pickle(Content.of_bytes(data, Budget())).verdict != "refused":
        assert all(is_allowed(name) for name in load(data))


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=24))
def test_it_asks_for_all_that_the_real_reader_asks_for(pieces: list[bytes]) -> None:
    data = b"\x80\x04" + b"".join(pieces) + b"."
    assert load(data) <= follow(data).names


@settings(max_examples=200)
@given(st.sampled_from([case.data for case in CASES if case.name.endswith(".pkl")]), st.data())
def test_a_changed_byte_lets_nothing_through(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) - 1))
    changed = data[:place] + bytes([draw.draw(st.integers(0, 255))]) + data[place + 1 :]
    if assess_pickle(Content.of_bytes(changed, Budget())).verdict != "refused":
        assert all(is_allowed(name) for name in load(changed))


def test_a_name_that_may_be_called_may_be_asked_for() -> None:
    assert may_be_called("collections.OrderedDict")
    assert is_allowed("collections.OrderedDict")
    assert not may_be_called("os.system")
    assert not is_allowed("os.system")
    assert not is_allowed("sklearn.utils.estimator_html_repr")


def test_data_are_skipped_and_not_read() -> None:
    data = b"\x80\x04\x8e" + (10_000_000).to_bytes(8, "little") + bytes(10_000_000) + b"."
    budget = Budget(data=1_000_000)
    pickle = follow_pickle(Content(io.BytesIO(data), 0, len(data), budget))
    assert not pickle.faults


def test_a_pickle_without_end_is_given_up() -> None:
    content = Content.of_bytes(b"\x80\x04" + b"N0" * 1000, Budget(steps=100))
    assert follow_pickle(content).faults == {"it has more operations than a scan follows": None}


def test_names_do_not_fill_the_memory() -> None:
    data = b"\x80\x02" + b"".join(ask("m", f"n{number}") for number in range(10_001)) + b"."
    assert "it asks for too many names" in follow(data).faults


def test_an_array_of_objects_is_followed_as_a_pickle() -> None:
    nested = b"\x80\x02" + ask("os", "system") + b"."
    data = wrapped(b"", kind=b"U\x02O8").replace(b"\x04\xff\xff\xff\xff", nested)
    assert list(follow(data).faults) == [
        "without joblib, it asks for os.system",
        "it asks for os.system",
    ]
    cut = wrapped(b"", kind=b"U\x02O8").replace(b"\x04\xff\xff\xff\xff.", b"\x80\x02")
    assert "an array of objects cannot be followed" in follow(cut).faults
