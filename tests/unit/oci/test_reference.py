"""References of images: what people write, and what must not reach a URL or a path."""

import pytest

from airgap.errors import UsageError
from airgap.format import names
from airgap.oci.reference import is_loopback, make_item_name, parse_reference


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("registry.example/team/shop:1.4", "registry.example/team/shop:1.4"),
        ("registry.example/shop", "registry.example/shop:latest"),
        ("localhost/shop:x", "localhost/shop:x"),
        ("127.0.0.1:5000/a/b__c/d-e:V_1.x", "127.0.0.1:5000/a/b__c/d-e:V_1.x"),
        ("[::1]:5000/shop:1", "[::1]:5000/shop:1"),
        ("r.example/shop:1@sha256:" + "a" * 64, "r.example/shop@sha256:" + "a" * 64),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, written: str) -> None:
    assert str(parse_reference(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "team/shop:1",
        "registry.example/../shop:1",
        "registry.example/a/../b:1",
        "registry.example/shop:../1",
        "registry.example/shop:a/b",
        "registry.example/shop:",
        "registry.example/Shop:1",
        "registry.example//shop:1",
        "registry.example/shop:1 ",
        "user@registry.example/shop:1",
        "registry.example/shop@sha256:abc",
        "registry.example/shop@md5:" + "a" * 64,
        "registry.example/shop:" + "a" * 129,
        "registry.example/" + "a" * 300,
        "-o.example/shop:1",
        "registry.example/shop:1?x=y",
        "registry.example/shop\n:1",
    ],
)
def test_what_is_not_a_reference_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("registry.example:5000/team/shop:1.4", "shop"),
        ("registry.example/Team/My_Shop@sha256:abc", "my_shop"),
        ("shop", "shop"),
        ("a/_-x-_:1", "x"),
        ("a/latest:1", "image"),
        ("a/§§:1", "image"),
        ("a/" + "y" * 90, "y" * 63),
    ],
)
def test_the_name_of_the_item_is_the_last_part_of_the_repository(reference: str, name: str) -> None:
    assert make_item_name(reference) == name
    assert names.is_tag_part(name)


def test_this_machine_is_told_from_others() -> None:
    here = ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:80", "[::1]"]
    others = ["registry.example", "localhost.example", "10.0.0.1:5000", "[2001:db8::1]:80"]
    assert all(map(is_loopback, here))
    assert not any(map(is_loopback, others))
