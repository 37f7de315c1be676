"""What the bytes of a description show is what the parser reads, even if they are to deceive."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.format.kinds import MODEL
from airgap.store.bentoml_yaml import parse_description
from airgap.store.description_peek import may_begin_version, peek_zone
from airgap.store.item_kind import Description
from tests.support.stock_shop import BENTO_YAML, MODEL_YAML

ZONED, PLAIN = "2026-01-02T03:04:05.123456+00:00", "2026-01-02 03:04:05"
NEEDED = ["name: shop", "version: v1", "service: service:Main"]
TIMES = [f"creation_time: '{time}'" for time in (ZONED, PLAIN)]
LINES = [
    *(f"creation_time: {time}" for time in (ZONED, PLAIN, f'"{ZONED}"', "*t", f"&t '{PLAIN}'")),
    *(f"{key}: '{ZONED}'" for key in ('"creation_time"', "'creation_time'", "creation_time ")),
    *(f"{key}: '{PLAIN}'" for key in ("!!str creation_time", "&k creation_time", "x: &t")),
    *(f"{key}: '{PLAIN}'" for key in ('"creation\\x5ftime"', "? creation_time\n", "  x")),
    *(f"labels: {{x: {text}" for text in ("1}", "'it", '"it', "1,", "{", "&t 1}")),
    *(f"x: {text}" for text in ("|", ">-", "'it", '"it', "it", "&l {}", "*l", "", "[a", "{a: b")),
    *("}", " }", " '}", "'", " '", '"', ' "', "]", " ]", ",", " ,", "# c", "...", "---", "\t", " "),
    *("", "- a", "-", "key", "*k : v", "%YAML 1.1", "  it's'", "  creation_time: 1", "- x: y"),
    *("models:", "models: [", "- tag: ranker:v1", "- ranker:v1", "ranker:v1,", "- tag: *x"),
    *("- 'ranker:v1'", '- "ranker:v1"', '- "ranker:\\x761"', '- "ranker\\u003av1"', '- "ranker:\\'),
    *("  v1", '  v1"', "- >-", "- |-", "  ranker:v1", "models: [{tag: ranker:v1}]", "- &x x:x"),
    *('models: [{"tag":ranker:v1}]', "models: [{tag: &x x:x}, {tag: *x}]", "x: {&x x:x, *x:x:v1}"),
]
BLOCKS = [
    *(f"x: |\n  {time}\n" for time in TIMES),
    *(f"x:\n- {time}\n  y: 1" for time in TIMES),
    *(f'x: "\n{time}\n  "' for time in TIMES),
    *(f"x: {{y: 1,\n{time}\n  }}" for time in TIMES),
    "models:\n- tag: ranker:v1\n  module: ''",
    "models: [ranker:v1, 'x:x']",
    'models: [{"tag":ranker:v1}, {tag: "ranker:\\\n  v2"}]',
    'models:\n- "ranker:\\x761"\n- "x\\u003ax"\n- >-\n  ranker:v1',
    "x: [&x x:x, {*x:x:v1 , y: 1}]\nmodels: [*x]",
    "labels: &l {x: &t ranker:v1}\nmodels: [*t]",
    "models: [{&x tag: ranker:v1}, {*x:x:v1}]",
    "labels: {}",
]
noise = st.sampled_from(LINES) | st.text("ab:_- '\"{}[],&*!|>#\\\n\r\t\x85\u2028", max_size=5)


@st.composite
def make_documents(draw: st.DrawFn) -> str:
    """Make a bento.yaml of blocks, any of which may be good, and of lines, which seldom are."""
    time = draw(st.sampled_from([*TIMES, *TIMES, *LINES[:13]]))
    blocks = draw(st.lists(st.sampled_from(BLOCKS), max_size=2))
    chosen = list(draw(st.permutations([*NEEDED, time, *blocks])))
    for line in draw(st.just([]) | st.lists(noise, max_size=2)):
        chosen.insert(draw(st.integers(0, len(chosen))), line)
    return draw(st.sampled_from(["\n", "\n", "\r\n"])).join(chosen) + "\n"


documents = make_documents()
MANY = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def parse(text: str) -> Description | None:
    try:
        return parse_description(text.encode(), "it", with_models=True)
    except CorruptError:
        return None


@MANY
@given(documents)
def test_a_zone_that_is_seen_is_that_of_the_creation_time(text: str) -> None:
    description = parse(text)
    if description is not None:
        assert peek_zone(text.encode()) in (None, description.has_zone)


@MANY
@given(documents)
def test_a_model_that_is_named_is_seen(text: str) -> None:
    description = parse(text)
    for model in description.models if description else ():
        if model.kind == MODEL.name:
            assert may_begin_version(text.encode(), {model.name: [f"{model.version}1"]})


@pytest.mark.parametrize("time", [ZONED, PLAIN])
@pytest.mark.parametrize("text", [BENTO_YAML, MODEL_YAML])
def test_the_zone_is_seen_in_what_bentoml_writes(text: str, time: str) -> None:
    head, _, tail = text.partition("\ncreation_time: ")
    rest = tail.partition("\n")[2]

    assert peek_zone(f"{head}\ncreation_time: '{time}'\n{rest}".encode()) is (time == ZONED)


@pytest.mark.parametrize(
    "text",
    [
        "x: \"\ncreation_time: '{0}'\n  \"\n\"creation_time\": '{1}'\n",
        "x: '\ncreation_time: ''{0}''\n  '\n? creation_time\n: '{1}'\n",
        "x: {{\ncreation_time: '{0}'\n  }}\n'creation_time': '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\n&x creation_time: '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\n!!str creation_time: '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\ncreation_time: '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\n\"creation\\x5ftime\": '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\ncreation_time : '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\rcreation_time: '{1}'\n",
        "x: \"\ncreation_time: '{0}'\n  \"\u2028creation_time: '{1}'\n",
    ],
)
def test_another_line_is_not_taken_for_the_creation_time(text: str) -> None:
    document = "\n".join([*NEEDED, text.format(PLAIN, ZONED)])

    assert peek_zone(document.encode()) is None


@pytest.mark.parametrize(
    "models",
    [
        "[{tag: ranker:v1}]",
        "['ranker:v1']",
        '["ranker:v\\x31"]',
        '["ranker\\u003av1"]',
        '["\\U00000072anker:v1"]',
        '["ranker:\\\n  v1"]',
        "[{&ranker tag: other:1}, {*ranker:ranker:v1}]",
    ],
)
def test_a_tag_that_begins_a_version_is_seen(models: str) -> None:
    text = "\n".join([*NEEDED, TIMES[0], f"models: {models}", ""])
    description = parse(text)

    assert description is not None
    assert any(model.name == "ranker" and model.version == "v1" for model in description.models)
    assert may_begin_version(text.encode(), {"ranker": ["w1", "v10"]})


@pytest.mark.parametrize(
    "models",
    [
        "[{tag: ranker:v10}]",
        "[{tag: ranker:v100}]",
        "[{tag: ranker:w1}]",
        "[{tag: other:v1}]",
        '[{tag: other:v1, alias: "\\u00e9\\t\\n"}]',
    ],
)
def test_another_tag_makes_no_description_be_parsed(models: str) -> None:
    assert not may_begin_version(f"models: {models}\n".encode(), {"ranker": ["v10"]})


@pytest.mark.parametrize(
    "text",
    [
        "- x:a\n" * 170_000,
        "x:" * 500_000,
        "x" * 1_000_000,
        "- {}:a\n".format("x" * 63) * 15_000,
        "x:{}\n".format("a" * 62) * 15_000,
    ],
)
def test_tags_without_end_cost_linear_time(text: str) -> None:
    versions = {"x" * length: [f"b{number}" for number in range(200)] for length in range(1, 64)}

    begun = time.process_time()
    assert not may_begin_version(text.encode(), versions)

    assert time.process_time() - begun < 10  # by each version: minutes
