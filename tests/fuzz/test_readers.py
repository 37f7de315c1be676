"""Every reader of bytes of strangers: what it takes it would write so, and the rest it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mutations import FEW, Mutation, mutations
from tests.support.untrusted_readers import READERS, accepts

HEAD = 400
"""In bytes; what comes after them is changed at random only, or by `make test-slow`."""


@pytest.mark.parametrize("name", READERS)
def test_what_is_mutated_below_is_read(name: str) -> None:
    assert all(accepts(name, seed) for seed in READERS[name].seeds())


@pytest.mark.parametrize("name", READERS)
def test_a_mutation_is_refused_or_read_as_it_would_be_written(name: str) -> None:
    @FEW
    @given(mutations, st.sampled_from(READERS[name].seeds()))
    def check(mutate: Mutation, seed: bytes) -> None:
        accepts(name, mutate(seed))

    check()


@pytest.mark.parametrize("name", READERS)
def test_a_byte_changed_or_left_out_is_refused_or_read_as_it_would_be_written(name: str) -> None:
    for seed in READERS[name].seeds():
        for at in range(min(len(seed), HEAD)):
            changed = (b"", bytes([seed[at] ^ 1]), bytes([seed[at] ^ 0x80]), b"\0", b"\xff")
            one = changed[at % len(changed)]  # the slow test below takes them all
            accepts(name, seed[:at] + one + seed[at + 1 :])


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_each_value_of_each_byte_is_refused_or_read_as_it_would_be_written(name: str) -> None:
    for seed in READERS[name].seeds():
        for at in range(min(len(seed), 2 * HEAD)):
            for byte in range(256):
                accepts(name, seed[:at] + bytes([byte]) + seed[at + 1 :])
