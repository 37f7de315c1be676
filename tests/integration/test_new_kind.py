"""A kind of item that the package does not know: one class, registered, travels like any other."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import CorruptError, PolicyError, UsageError
from airgap.flow.exporting.export import ExportRequest, export
from airgap.flow.exporting.want import list_wanted_tags
from airgap.flow.exporting.write_bundle import ExportResult
from airgap.flow.location.location import parse_location
from airgap.flow.progress import Silent
from airgap.format import kinds as rules
from airgap.format import names
from airgap.format.inventory import Item
from airgap.format.kinds import KindRules
from airgap.format.want import Want
from airgap.store import bentoml_home, kinds
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import ItemKind, Reference, Source
from airgap.store.source_tree import scan
from tests.support import forge, refusals, stores
from tests.support.sides import Side, Site

FILES = {"intro.ipynb": stores.noise(300_000), "data/rows.csv": b"a,b\n" * 100}


class Notebooks(ItemKind):
    """Notebooks, in ``notebooks/`` of BentoML's home; each needs an ``intro.ipynb``."""

    rules = KindRules("notebook", 2, lambda name, _: names.is_tag_part(name), reader=4)
    store_title = "BentoML home"
    folder = "notebooks"

    def store(self) -> Path:
        return bentoml_home.home()

    def install_path(self, name: str, version: str) -> InstallPath:
        final = self.store() / self.folder / name / version
        return InstallPath(final, self.store(), latest=None, may_hold_more=False)

    def find(self, tag: str) -> tuple[str, str]:
        return names.parse_tag(tag)

    def list_tags(self, name: str | None = None) -> Iterator[tuple[str, str]]:
        for path in sorted(self.store().glob(f"{self.folder}/{name or '*'}/*")):
            yield path.parent.name, path.name

    def scan(self, reference: Reference) -> Source:
        folder = self.install_path(reference.name, reference.version).final
        return Source("notebook", reference.name, reference.version, 7, scan(folder))

    def check(self, item: Item, description: bytes, *, thorough: bool) -> None:  # noqa: ARG002
        assert description == b""
        if not any(file.path == "intro.ipynb" for file in item.files):
            raise CorruptError(f"The {item} has no intro.ipynb.", "Ask for another.")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after the test what it registers."""
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))


@pytest.fixture
def notebooks(registry: None) -> None:  # noqa: ARG001  (undone by it)
    kinds.register(Notebooks())


def export_notebook(side: Side, site: Site, depot: Path, *bentos: str) -> ExportResult:
    request = ExportRequest(
        list(bentos),
        [],
        parse_location(str(depot), to_write=True),
        [forge.load_signer(site.key())],
        others={"notebook": ["study:v1"]},
        jobs=2,
    )
    with side.here():
        return export(request, Silent())


@pytest.fixture
def sender(small: Side) -> Side:
    stores.write_files(small.bentoml / "notebooks/study/v1", FILES)
    return small


@pytest.mark.usefixtures("notebooks")
def test_an_item_of_a_new_kind_is_exported_verified_and_imported(
    sender: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = tmp_path / "bundles"

    done = export_notebook(sender, site, depot, "shop:v1")

    assert [str(item) for item in done.manifest.items] == [
        "model ranker:v1",
        "notebook study:v1",
        "bento shop:v1",
    ]
    verified = isolated.run("verify", depot, "--json")
    assert verified.code == 0, verified.err
    imported = isolated.run("import", depot, "--json")
    assert imported.code == 0, imported.err
    installed = isolated.bentoml / "notebooks/study/v1"
    assert {path: (installed / path).read_bytes() for path in FILES} == FILES
    listed = json.loads(isolated.run("list", "--json").out)
    assert "study:v1" in {row["tag"] for row in listed["items"]}
    assert "notebooks: 1" in isolated.run("doctor").out


@pytest.mark.usefixtures("notebooks")
def test_a_new_kind_is_compared_with_what_is_installed(
    sender: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    export_notebook(sender, site, tmp_path / "bundles")
    assert isolated.run("import", tmp_path / "bundles").code == 0

    again = isolated.run("import", tmp_path / "bundles", "--json")
    assert [item["outcome"] for item in again.json["items"]] == ["already there"]

    (isolated.bentoml / "notebooks/study/v1/intro.ipynb").write_bytes(b"mine")
    assert isolated.run("import", tmp_path / "bundles").code == 14
    assert isolated.run("import", tmp_path / "bundles", "--replace").code == 0


@pytest.mark.usefixtures("notebooks")
def test_what_a_new_kind_checks_is_refused_before_anything_is_installed(
    sender: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    (sender.bentoml / "notebooks/study/v1/intro.ipynb").unlink()
    export_notebook(sender, site, tmp_path / "bundles")

    for command in ("verify", "import"):
        ran = refusals.expect_refusal(isolated, command, tmp_path / "bundles", error=CorruptError)
        assert "has no intro.ipynb" in ran.json["error"]["message"]


@pytest.mark.usefixtures("notebooks")
def test_an_archive_for_stock_bentoml_refuses_what_it_has_no_room_for(
    sender: Side, site: Site, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="holds one Bento, or one model"):
        export_notebook(sender, site, tmp_path / "shop.bento", "shop:v1")


@pytest.mark.usefixtures("notebooks")
def test_an_export_for_a_site_that_lacks_something_has_items_of_every_kind_with_tags() -> None:
    tags = ("bento shop:v1", "hugging-face org--mini:c0ffee", "notebook study:v1")

    wanted = list_wanted_tags(Want(bytes(32), tags, (bytes(32),)))

    asked = {kind: tags for kind, tags in wanted.items() if tags}
    assert asked == {"bento": ["shop:v1"], "notebook": ["study:v1"]}
    assert "hugging-face" not in wanted


@pytest.mark.usefixtures("registry")
def test_an_airgap_without_the_kind_says_that_a_newer_one_is_needed(
    sender: Side, isolated: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
        patch.setattr(rules, "_RULES", dict(rules._RULES))
        kinds.register(Notebooks())
        export_notebook(sender, site, tmp_path / "bundles")

    ran = refusals.expect_refusal(isolated, "import", tmp_path / "bundles", error=PolicyError)

    assert "needs format version 4" in ran.json["error"]["message"]
