"""Arguments of the Python API are checked by their annotations."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import pytest

from airgap.api.arguments import StrPath, TagLike
from airgap.api.edge import edge
from airgap.api.keys import Passphrase
from airgap.errors import UsageError


class Tag:
    """Looks like BentoML's."""

    name, version = "shop", "v1"


class Options(TypedDict, total=False):
    force: bool


@edge
def work(
    tag: TagLike | str = "x",
    path: StrPath | None = None,
    sites: Sequence[str] = (),
    jobs: int | None = None,
    level: Literal["none", "fast"] = "none",
    passphrase: Passphrase | None = None,
    labels: Mapping[str, str] | None = None,
    call: Callable[[str], str] | None = None,
    *rest: StrPath,
    **options: Unpack[Options],
) -> int:
    del tag, path, sites, jobs, level, passphrase, labels, call, rest, options
    return 1


GOOD: list[dict[str, object]] = [
    {"tag": "shop:v1"},
    {"tag": Tag()},
    {"path": Path()},
    {"sites": ["a", "b"]},
    {"sites": ()},
    {"jobs": 2},
    {"level": "fast"},
    {"passphrase": b"secret"},
    {"passphrase": str},
    {"labels": {"a": "b"}},
    {"call": str},
    {"force": True},
]
BAD: list[tuple[dict[str, object], str]] = [
    ({"tag": 42}, "tag must be bentoml.Tag or str, not int"),
    ({"tag": None}, "tag must be bentoml.Tag or str, not NoneType"),
    ({"path": 1}, "path must be str or os.PathLike or None, not int"),
    ({"sites": "ward"}, "sites must be a list of str, not str"),
    ({"sites": [1]}, "sites must be a list of str, not list"),
    ({"sites": 7}, "sites must be a list of str, not int"),
    ({"jobs": "2"}, "jobs must be int or None, not str"),
    ({"jobs": True}, "jobs must be int or None, not bool"),
    ({"level": 1}, "level must be str, not int"),
    ({"passphrase": 1}, "passphrase must be str or bytes or a function or None, not int"),
    ({"labels": {"a": 1}}, "labels must be a mapping of str to str or None, not dict"),
    ({"labels": "a"}, "labels must be a mapping of str to str or None, not str"),
    ({"call": 1}, "call must be a function or None, not int"),
    ({"force": "no"}, "force must be bool, not str"),
    ({"colour": 1}, "work() got an unexpected keyword argument 'colour'"),
]


@pytest.mark.parametrize("arguments", GOOD)
def test_right_arguments_are_taken(arguments: dict[str, object]) -> None:
    assert work(**arguments) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_wrong_type_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        work(**arguments)  # type: ignore[arg-type]

    assert str(caught.value).removeprefix("work(): ") == message


def test_each_of_many_arguments_is_checked() -> None:
    with pytest.raises(TypeError, match="rest must be str"):
        work("x", None, (), None, "none", None, None, None, Path(), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [({"level": "best"}, "one of none, fast"), ({"jobs": 0}, "from 1 to 64")],
)
def test_a_value_that_is_not_allowed_is_refused(arguments: dict[str, object], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        work(**arguments)  # type: ignore[arg-type]

    assert hint in caught.value.hint


def test_a_call_that_does_not_match_is_refused_in_pythons_words() -> None:
    @edge
    def take(tag: str) -> str:
        return tag

    with pytest.raises(TypeError, match=r"take\(\) missing 1 required positional argument: 'tag'"):
        take()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        take("x", colour=1)  # type: ignore[call-arg]
