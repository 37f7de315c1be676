"""What the sinkhole reads from strangers: questions of DNS, and the hello of TLS."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.flow.proof.sinkhole import find_server_name, read_question

HEADER = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)


def question(*labels: bytes, kind: int = 1) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return HEADER + name + struct.pack(">HH", kind, 1)


def test_a_question_has_a_name_and_a_kind() -> None:
    packet = question(b"Hub", b"example", kind=28)

    assert read_question(packet + b"more") == ("hub.example", 28, len(packet))


@pytest.mark.parametrize("packet", [b"", HEADER, question(b"hub")[:-3], HEADER + b"\x09hub"])
def test_a_question_that_is_cut_is_none(packet: bytes) -> None:
    assert read_question(packet) is None


def hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello("hub.example")


def test_the_name_of_the_server_stands_in_the_hello() -> None:
    assert find_server_name(HELLO) == "hub.example"


@given(st.binary(max_size=300), st.integers(0, 600))
def test_what_strangers_send_ends_in_a_name_or_none(noise: bytes, cut: int) -> None:
    for data in (noise, HELLO[:cut], b"\x16" + noise):
        find_server_name(data)
        read_question(data)
