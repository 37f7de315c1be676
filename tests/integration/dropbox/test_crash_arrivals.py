"""The intake is killed before each of its write steps, then started again."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.support import forge, fork_server_intake, stores
from tests.support.completing import CONTENT, bundle_id, completing, numbered, without_packs
from tests.support.faults import Fault, Launcher
from tests.support.forge import Forge
from tests.support.sides import Side, Site

MOST_STEPS = 200


class Scene:
    """A delivered bundle, and what becomes of it."""

    def __init__(self, side: Side, top: Path, source: Path, face: str, kind: str) -> None:
        self.side = side
        self.face = face
        self.kind = kind
        self.state = top / "state"
        self.folder = self.state / "incoming/ann" if face == "dropbox" else top / "folder"
        self.top = top
        self.folder.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, self.folder, dirs_exist_ok=True)
        else:
            shutil.copy(source, self.folder)
        self.before = self._content(self.folder)

    @property
    def arguments(self) -> tuple[str | Path, ...]:
        return ("@intake", self.face, self.folder, self.state, self.kind)

    @property
    def imports(self) -> int:
        path = self.top / fork_server_intake.IMPORTS
        return len(path.read_text().splitlines()) if path.exists() else 0

    def expect_converged(self, moment: str) -> None:
        """Nothing is lost or left half done, and the log has one ending."""
        log = [json.loads(line) for line in (self.state / "log.jsonl").read_text().splitlines()]
        ending = "imported" if self.kind == "done" else "quarantined"
        ends = Counter(
            line["arrival"] for line in log if line["event"] in ("imported", "quarantined")
        )
        assert len(ends) == 1, f"{ends} after {moment}"
        assert {line["event"] for line in log if line.get("arrival") in ends} >= {ending}
        assert not [*self.state.glob("working/*/*")], f"left in working after {moment}"
        assert not [*self.top.rglob("*.part")], f"a part is left after {moment}"
        folders = [*self.state.glob("quarantine/ann/*"), *self.top.glob("done/*/*")]
        content = Counter(digest for folder in folders for digest in self._content(folder).values())
        if self.kind == "done" and self.face == "dropbox":
            assert not folders
        else:
            manifest_or_file = max(self.before, key=lambda name: ("manifest" in name, name))
            assert content[self.before[manifest_or_file]] == 1, f"not kept once after {moment}"

    @staticmethod
    def _content(folder: Path) -> dict[str, str]:
        """Digests of all files that a bundle is made of, by name."""
        return {
            Path(path).name: description
            for path, description in stores.snapshot(folder).items()
            if Path(path).suffix in (".airgap", ".msgpack", ".pack") and "100" in description[:3]
        }


@pytest.mark.parametrize(
    ("face", "form", "kind"),
    [
        ("dropbox", "depot", "corrupt"),
        ("dropbox", "archive", "done"),
        ("watch", "archive", "corrupt"),
        ("watch", "depot", "done"),
    ],
)
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_at_any_step_loses_nothing_and_starts_nothing_twice(
    face: str,
    kind: str,
    form: str,
    stride: int,
    isolated: Side,
    launcher: Launcher,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    source: Path = request.getfixturevalue(form)
    for step in range(0, MOST_STEPS, stride):
        scene = Scene(isolated, tmp_path / f"{step}", source, face, kind)

        ended = launcher.run(isolated, *scene.arguments, fault=Fault(at=step))
        imports_before = scene.imports
        again = launcher.run(isolated, *scene.arguments)

        assert again.code == 0, again.err
        scene.expect_converged(ended.last)
        assert scene.imports <= 2
        if any(name.endswith(("/reason.json", "/seen.json")) for name in ended.steps[:-1]):
            assert scene.imports == imports_before, f"imported again after {ended.last}"
        if not ended.killed:
            assert step > 5
            return
        shutil.rmtree(scene.top)
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("face", ["dropbox", "watch"])
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_leaves_neither_of_two_that_belong_together_alone(
    face: str, stride: int, isolated: Side, launcher: Launcher, site: Site, tmp_path: Path
) -> None:
    """The import of one needs the other: if that has gone, the one waits for ever."""
    first = without_packs(numbered(7, CONTENT))
    drafts = {draft.raw(): draft for draft in (first, completing(bundle_id(first), CONTENT))}
    (tmp_path / "made").mkdir()
    forged = Forge(tmp_path / "made", forge.load_signer(site.key()))
    sources = [forged.archive(draft) for draft in drafts.values()]
    for step in range(0, MOST_STEPS, stride):
        scene = Scene(isolated, tmp_path / f"{step}", sources[0], face, "pair")
        shutil.copy(sources[1], scene.folder)

        ended = launcher.run(isolated, *scene.arguments, fault=Fault(at=step))
        again = launcher.run(isolated, *scene.arguments)

        assert again.code == 0, again.err
        log = [json.loads(line) for line in (scene.state / "log.jsonl").read_text().splitlines()]
        imported = {line["bundle"] for line in log if line["event"] == "imported"}
        assert imported == {forge.names_of(raw)[0] for raw in drafts}, ended.last
        assert not [line for line in log if line["event"] == "quarantined"]
        status = json.loads((scene.state / "status.json").read_bytes())
        assert (status["put_off"], status["waiting"]) == ([], []), ended.last
        assert not [*scene.state.glob("working/*/*")], f"left in working after {ended.last}"
        if not ended.killed:
            assert step > 5
            return
        shutil.rmtree(scene.top)
    raise AssertionError("it never came to its end")
