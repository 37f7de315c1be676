"""Parsing only the descriptions that may matter refuses what parsing all of them refuses."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airgap.errors import ConflictError
from airgap.format.inventory import make_item
from airgap.store import bentoml_listing
from airgap.store.bentoml_home import BentoMLKind
from airgap.store.bentoml_listing import refuse_conflicts
from airgap.store.kinds import install_path
from airgap.store.staging import StagedItem
from tests.support import forge, stores
from tests.support.sides import Side


class Described(NamedTuple):
    """An item with hardly more than its description."""

    kind: str
    tag: str
    has_zone: bool = True
    models: tuple[str, ...] = ()
    quote: str = "'"
    broken: bool = False
    copy: str = ""

    @property
    def text(self) -> str:
        time = stores.CREATED if self.has_zone else stores.CREATED.removesuffix("+00:00")
        text = forge.describe(self.kind, self.tag).replace(
            f"'{stores.CREATED}'", f"{self.quote}{time}{self.quote}"
        )
        text += "models:\n" if self.models else ""
        text += "".join(f"- tag: {tag}\n" for tag in self.models)
        return text + "\t" * self.broken


names = st.sampled_from(["a", "a.b", "b"])
versions = st.sampled_from(["v1", "v11", "v12", "v111", "v1.1", "v2"])
tags = st.builds("{}:{}".format, names, versions)
zones = st.sampled_from([True] * 5 + [False])
quotes = st.sampled_from(["'", "'", "'", '"', ""])
bentos = st.builds(
    Described,
    st.just("bento"),
    tags,
    zones,
    st.lists(tags, max_size=2, unique=True).map(tuple),
    quotes,
    st.sampled_from([False] * 7 + [True]),
    st.sampled_from(["", "", ""]) | tags,
)
models = st.builds(
    Described, st.just("model"), tags, zones, st.just(()), quotes, st.booleans(), st.just("")
)
items = st.lists(bentos | models, max_size=8, unique_by=lambda item: (item.kind, item.tag))


ALIKE = [Described("model", "a:v11"), Described("model", "a:v12")]
NEEDY = Described("bento", "b:v1", models=("a:v1",))


def install(side: Side, item: Described) -> Path:
    """Put an item into a side's store, in place of one of the same tag."""
    folder = side.bentoml / f"{item.kind}s" / item.tag.replace(":", "/")
    shutil.rmtree(folder, ignore_errors=True)
    stores.write_files(folder, {f"{item.kind}.yaml": item.text.encode()})
    if item.copy:
        stores.write_files(folder / "models" / item.copy.replace(":", "/"), {"w": b""})
    return folder


def stage(item: Described) -> StagedItem:
    """Stage an item for the store of this side."""
    name, _, version = item.tag.partition(":")
    made = make_item(item.kind, name, version, [])
    staged = StagedItem(made, install_path(made), "0" * 64)
    stores.write_files(staged.folder, {f"{item.kind}.yaml": item.text.encode()})
    return staged


@contextmanager
def make_side() -> Iterator[Side]:
    with tempfile.TemporaryDirectory() as folder:
        side = Side(Path(folder))
        with side.here():
            yield side


def refuse(staged: list[StagedItem]) -> list[str]:
    """Return the lines of the refusal; none if there is none."""
    try:
        refuse_conflicts(staged)
    except ConflictError as error:
        return [error.message, *error.details]
    return []


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(items, items)
@example([*ALIKE, NEEDY], [NEEDY])
@example([*ALIKE, NEEDY], [NEEDY._replace(has_zone=False)])
def test_what_is_left_out_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, present: list[Described], sent: list[Described]
) -> None:
    with make_side() as side:
        for item in present:
            install(side, item)
        staged = [stage(item._replace(broken=False)) for item in sent]

        refusal = refuse(staged)

        with monkeypatch.context() as patch:
            patch.setattr(
                bentoml_listing, "_describe_relevant", lambda _: bentoml_listing._describe_stores()
            )
            assert refuse(staged) == refusal


@pytest.mark.parametrize(
    ("sent", "parsed"),
    [
        ([Described("bento", "new:v1", models=("ranker:v1",))], {"ranker/v1", "ranker/v11"}),
        ([Described("model", "ranker:v12")], {"needs/v1", "ranker/v1", "ranker/v11"}),
        ([Described("model", "new:v1")], set()),
    ],
)
def test_an_import_parses_what_may_matter(
    sent: list[Described], parsed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    described: set[str] = set()
    describe = BentoMLKind.describe

    def note(self: BentoMLKind, folder: Path, *, thorough: bool = False) -> object:
        described.add("/".join(folder.parts[-2:]))
        return describe(self, folder, thorough=thorough)

    with make_side() as side:
        for number in range(20):
            install(side, Described("bento", f"other{number}:v1", models=("other:v1",)))
            install(side, Described("model", f"other{number}:v1"))
        for tag in ("ranker:v1", "ranker:v11", "ranker:v2"):
            install(side, Described("model", tag))
        install(side, Described("bento", "needs:v1", models=("ranker:v1",)))
        staged = [stage(item) for item in sent]
        monkeypatch.setattr(BentoMLKind, "describe", note)

        refuse_conflicts(staged)

    assert described - {item.tag.replace(":", "/") for item in sent} == parsed
