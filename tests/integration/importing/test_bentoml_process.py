"""Items that airgap's own table cannot judge are read by the BentoML that is installed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import CorruptError
from airgap.format import manifest
from airgap.store import bentoml_process
from airgap.store.bentoml_process import refuse_unreadable
from airgap.store.install_paths import InstallPath
from airgap.store.staging import StagedItem
from tests.support import forge, stores

BENTO_YAML = forge.describe("bento", "shop:v1")


def stage(folder: Path, text: str) -> StagedItem:
    """Stage a Bento with this bento.yaml."""
    (item,) = manifest.decode(forge.draft(forge.bento({})).raw()).items
    path = InstallPath(folder / "shop" / "v1", folder, None, may_hold_more=False)
    staged = StagedItem(item, path, "0" * 64)
    stores.write_files(staged.folder, {"bento.yaml": text.encode()})
    return staged


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None, int, str], list[int]]:
    """Let an installed version answer with an exit code and a line; return how many were asked."""

    def answer(version: str | None, code: int, line: str) -> list[int]:
        asked: list[int] = []

        def run(items: list[StagedItem]) -> tuple[int, str]:
            asked.append(len(items))
            return code, line

        monkeypatch.setattr(bentoml_process, "find_version", lambda: version)
        monkeypatch.setattr(bentoml_process, "_run_reader", run)
        return asked

    return answer


Answers = Callable[[str | None, int, str], list[int]]


@pytest.mark.parametrize(
    ("version", "signed", "asks"),
    [
        ("1.4.40", True, False),
        ("1.4.40", False, True),
        ("1.5.0", True, True),
        (None, False, False),
        (None, True, False),
    ],
)
def test_bentoml_is_asked_about_unsigned_items_and_if_it_is_not_1_4(
    version: str | None, signed: object, asks: object, tmp_path: Path, answers: Answers
) -> None:
    asked = answers(version, 0, "")

    refuse_unreadable([stage(tmp_path, BENTO_YAML)], pytest.fail, signed=bool(signed))

    assert asked == ([1] if asks else [])


def test_what_bentoml_refuses_is_named_with_its_reason(tmp_path: Path, answers: Answers) -> None:
    answers("1.5.0", 1, "0 ClassValidationError no field zzz")

    with pytest.raises(CorruptError, match=r"BentoML 1\.5\.0 cannot read the bento shop:v1: Class"):
        refuse_unreadable([stage(tmp_path, BENTO_YAML)], pytest.fail, signed=True)


def test_a_bentoml_that_cannot_be_started_is_noted(tmp_path: Path, answers: Answers) -> None:
    answers("1.5.0", 70, "ImportError no module")
    notes: list[str] = []

    refuse_unreadable([stage(tmp_path, BENTO_YAML)], notes.append, signed=True)

    (note,) = notes
    assert "BentoML 1.5.0 was not asked" in note
    assert "ImportError no module" in note


def test_the_real_bentoml_reads_what_it_can_list_and_refuses_the_rest(tmp_path: Path) -> None:
    good = stage(tmp_path / "good", BENTO_YAML)
    bad = stage(tmp_path / "bad", BENTO_YAML.replace("service: service:Main\n", ""))

    code, line = bentoml_process._run_reader([good, bad])

    assert code == 1
    assert line.startswith("1 ")
    assert "service" in line
