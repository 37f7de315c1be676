"""The parity index (format §20)."""

from collections.abc import Callable
from typing import Any

import pytest

from airgap.errors import CorruptError
from airgap.format import canonical, limits, parity
from airgap.format.fields import encode_u32
from airgap.format.parity import Group

GROUPS = (Group((0, 2, 4), (b"a" * 32, b"b" * 32)), Group((1, 3), (b"c" * 32,)))
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> bytes:
    value = canonical.decode(parity.encode(GROUPS), limit=10_000, what="index")
    change(value)
    return canonical.encode(value)


def members(*packs: int) -> Change:
    return lambda value: value["groups"][0].update(packs=encode_u32(packs))


def digests(raw: bytes) -> Change:
    return lambda value: value["groups"][0].update(parity=raw)


def test_an_index_is_read_as_it_was_written() -> None:
    assert parity.decode(parity.encode(GROUPS), 5) == GROUPS


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda value: value.update(format=2), id="another format"),
        pytest.param(lambda value: value.update(code="xor"), id="another code"),
        pytest.param(lambda value: value.update(hash="md5"), id="another digest"),
        pytest.param(lambda value: value.update(more=1), id="one key more"),
        pytest.param(lambda value: value["groups"][0].pop("parity"), id="one key less"),
        pytest.param(members(), id="a group without packs"),
        pytest.param(members(2, 0, 4), id="packs out of order"),
        pytest.param(members(0, 0, 4), id="a pack twice in a group"),
        pytest.param(members(0, 3), id="a pack in two groups"),
        pytest.param(members(0, 5), id="a pack that is not there"),
        pytest.param(members(*range(limits.GROUP_PACKS + 1)), id="too many packs"),
        pytest.param(digests(b""), id="no parity"),
        pytest.param(digests(b"a" * 33), id="part of a digest"),
        pytest.param(digests(b"a" * 64), id="a parity pack twice"),
        pytest.param(digests(b"c" * 32), id="a parity pack in two groups"),
        pytest.param(
            digests(b"".join(bytes([one]) * 32 for one in range(limits.GROUP_PACKS + 1))),
            id="too much parity",
        ),
    ],
)
def test_an_index_that_breaks_a_rule_is_refused(change: Change) -> None:
    with pytest.raises(CorruptError):
        parity.decode(changed(change), 5)


def test_an_index_that_is_too_long_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(CorruptError, match="at most"):
        parity.decode(bytes(limits.PARITY_INDEX_BYTES + 1), 5)
