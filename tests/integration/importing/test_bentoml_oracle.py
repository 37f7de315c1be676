"""What airgap takes for a description, the real `bentoml list` lists: the two are compared."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.store.kinds import find_kind
from tests.support import forge
from tests.support.bentoml_lister import BentoMLLister
from tests.support.stock_shop import BENTO_YAML, MODEL_YAML

COMPARED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
KeyPath: TypeAlias = tuple[str | int, ...]
SNIPPETS = [
    *"\t:!#'\"|[]{}@`=~\r\n\x85\ufeff\u2028\x07é\\ ",
    *("&a ", "*a", "!!int ''", "<<: ", "- ", "? ", "%YAML 1.1\n", "---\n", "...\n"),
    *("0x_", "0b_", "2026-02-30", "1:60", "._"),
]
TEXTS = {"bento": BENTO_YAML, "model": MODEL_YAML}
TAGS = {"bento": "shop:v1", "model": "ranker:v1"}
RUNNERS = "runners: [{name: r, runnable_type: T, embedded: false, models: ['ranker:v1']}]"
FULL = {
    "bento": BENTO_YAML.replace("runners: []", RUNNERS)
    .replace(
        "services: []",
        "services: [{name: S, service: '', models: [], config: {a: &a {b: 1}, c: *a}}]",
    )  # BentoML writes aliases for what two services share
    .replace("envs: []", "envs: [{name: A, value: b, stage: all}]")
    .replace("apis: []", "apis: [{name: a, input_type: b, output_type: c}]")
    .replace("python: {}", "python: {packages: [a], lock_packages: true, wheels: null}")
    .replace("conda: {}", "conda: {channels: null, dependencies: null, pip: null}"),
    "model": MODEL_YAML.replace(
        "signatures: {}", "signatures: {predict: {batchable: true, batch_dim: [0, 0]}}"
    ).replace("metadata: {}", "metadata: {a: [1, 2.5, x, {b: true}], c: !!binary eA==}"),
}


@pytest.fixture(scope="module")
def lister() -> Iterator[BentoMLLister]:
    with BentoMLLister() as process:
        yield process


def rename(text: str, number: int) -> str:
    """Give a description a version of its own, so that many can lie in one store."""
    return text.replace("version: v1\n", f"version: v1-{number}\n", 1)


def is_taken(kind: str, text: str, *, thorough: bool = True) -> bool:
    try:
        described = find_kind(kind).read_description(text.encode(), "it", thorough=thorough)
    except CorruptError:
        return False
    return f"{described.name}:{described.version}" == TAGS[kind]


def compare(lister: BentoMLLister, kind: str, text: str) -> None:
    if is_taken(kind, text):
        assert lister.find_error([(kind, TAGS[kind], text)]) == "", text


@pytest.mark.parametrize("kind", TEXTS)
def test_the_shortest_and_the_fullest_description_are_taken_and_listed(
    kind: str, lister: BentoMLLister
) -> None:
    for text in (forge.describe(kind, TAGS[kind]), TEXTS[kind], FULL[kind]):
        assert is_taken(kind, text)
        compare(lister, kind, text)


HOSTILE: dict[str, Any] = {
    "null": None,
    "number": 5,
    "real": 0.5,
    "truth": True,
    "text": "abc",
    "tag": "a:b",
    "markup": "[/b]",
    "list": ["a"],
    "empty list": [],
    "map": {"x": 1},
    "empty map": {},
    "list of lists": [[1]],
    "list of maps": [{"x": 1}],
    "list of null": [None],
    "list of tags": ["m:v1"],
    "two numbers": [0, 1],
    "bytes": b"abc",
}


def list_paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from list_paths(child, (*path, key))


def replaced(value: Any, path: KeyPath, new: object) -> Any:  # noqa: ANN401  (any document)
    """Return a copy with another value at a path, or without it (``...``)."""
    if not path:
        return new
    copy = value.copy()
    if new is ... and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


PATHS = {
    (kind, path): document
    for kind, document in ((kind, yaml.safe_load(text)) for kind, text in FULL.items())
    for path in list_paths(document)
    if path
}


@pytest.mark.parametrize("kind", TEXTS)
def test_any_value_in_any_place_is_refused_or_listed(kind: str, lister: BentoMLLister) -> None:
    texts = [
        yaml.dump(replaced(document, path, new), Dumper=yaml.CSafeDumper, sort_keys=False)
        for (kind_of_path, path), document in PATHS.items()
        for new in (..., *HOSTILE.values())
        if kind_of_path == kind
    ]
    taken = [text for text in texts if is_taken(kind, text, thorough=False)]
    assert len(texts) / 10 < len(taken) < len(texts) * 0.9
    # One list of them all; each alone is asked about only if that ends with an error.
    items = [(kind, f"{TAGS[kind]}-{n}", rename(text, n)) for n, text in enumerate(taken)]
    if lister.find_error(items):
        assert [text for text in taken if lister.find_error([(kind, TAGS[kind], text)])] == []


@pytest.mark.parametrize("kind", TEXTS)
@COMPARED
@given(data=st.data())
def test_a_text_with_anything_in_it_is_refused_or_listed(
    kind: str, data: st.DataObject, lister: BentoMLLister
) -> None:
    text = FULL[kind]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 2))
        text = text[:at] + data.draw(st.sampled_from(SNIPPETS)) + text[at + gone :]
    compare(lister, kind, text)


TIMES = [
    *("'0001-01-01T00:00:00'", "'0001-01-01T00:00:00+23:59'", "'0001-01-03T00:00:00-23:59'"),
    *("'9999-12-31T23:59:59'", "'9999-12-31T23:59:59-14:00'", "'9999-12-29T00:00:00+23:59'"),
    *("2026-01-02", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "'2026-01-02'", "20260102"),
    *("0001-01-01 00:00:00 +23:59", "9999-12-31 23:59:59 -23:59", "'2026-01-02T03:04:05'"),
]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_time_at_the_end_of_time_is_refused_or_listed(kind: str, lister: BentoMLLister) -> None:
    for time in TIMES:
        text = forge.describe(kind, TAGS[kind])
        compare(lister, kind, text.replace("'2026-01-02T03:04:05+00:00'", time))
