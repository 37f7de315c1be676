"""Items that airgap's own table cannot judge are read by the BentoML that is installed."""

from collections.abc import Callable
from dataclasses import replace
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
def answers(monkeypatch: pytest.MonkeyPatch) -> "Answers":
    """Let a version answer with a code, items begun and a reason; return how many were asked."""

    def answer(version: str | None, code: int, begun: int, reason: str) -> list[int]:
        asked: list[int] = []

        def run(items: list[StagedItem]) -> tuple[int, int, str]:
            asked.append(len(items))
            return code, begun, reason

        monkeypatch.setattr(bentoml_process, "find_version", lambda: version)
        monkeypatch.setattr(bentoml_process, "_run_reader", run)
        return asked

    return answer


Answers = Callable[[str | None, int, int, str], list[int]]


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
    asked = answers(version, 0, 1, "")

    refuse_unreadable([stage(tmp_path, BENTO_YAML)], pytest.fail, signed=bool(signed))

    assert asked == ([1] if asks else [])


def test_what_bentoml_refuses_is_named_with_its_reason(tmp_path: Path, answers: Answers) -> None:
    answers("1.5.0", 1, 1, "ClassValidationError no field zzz")

    with pytest.raises(CorruptError, match=r"BentoML 1\.5\.0 cannot read the bento shop:v1: Class"):
        refuse_unreadable([stage(tmp_path, BENTO_YAML)], pytest.fail, signed=True)


def test_a_bentoml_that_cannot_be_started_is_noted(tmp_path: Path, answers: Answers) -> None:
    answers("1.5.0", 70, 0, "ImportError no module")
    notes: list[str] = []

    refuse_unreadable([stage(tmp_path, BENTO_YAML)], notes.append, signed=True)

    (note,) = notes
    assert "BentoML 1.5.0 was not asked" in note
    assert "ImportError no module" in note


def test_the_real_bentoml_reads_what_it_can_list_and_refuses_the_rest(tmp_path: Path) -> None:
    good = stage(tmp_path / "good", BENTO_YAML)
    bad = stage(tmp_path / "bad", BENTO_YAML.replace("service: service:Main\n", ""))

    code, begun, reason = bentoml_process._run_reader([good, bad])

    assert (code, begun) == (1, 2)
    assert "service" in reason


READER = """
import os, sys, time
for number, folder in enumerate(sys.argv[2::2]):
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    if "bad" in folder:
        END
"""


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "its process ended with code -9"),
        ("time.sleep(60)", "it took more than 0.5 seconds"),
    ],
)
def test_the_item_is_named_at_which_bentoml_is_killed_or_hangs(
    end: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reader.py").write_text(READER.replace("END", end))
    monkeypatch.setattr(bentoml_process, "_READER", tmp_path / "reader.py")
    monkeypatch.setattr(bentoml_process, "_SECONDS", 0.5 if "sleep" in end else 60)
    monkeypatch.setattr(bentoml_process, "find_version", lambda: "1.5.0")
    good, bad = stage(tmp_path / "good", BENTO_YAML), stage(tmp_path / "bad", BENTO_YAML)
    bad.item = replace(bad.item, name="fault")

    with pytest.raises(CorruptError) as refused:
        refuse_unreadable([good, bad], pytest.fail, signed=True)

    assert refused.value.message == f"BentoML 1.5.0 cannot read the bento fault:v1: {reason}."


def test_what_a_library_prints_is_not_taken_for_the_reader_s_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bentoml.py").write_text(
        "class Bento:\n"
        "    @staticmethod\n"
        "    def from_path(folder):\n"
        "        print('7 Warning: all is well')\n"
        "        raise ValueError('no field zzz\\nand more')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert bentoml_process._run_reader([stage(tmp_path, BENTO_YAML)]) == (
        1,
        1,
        "ValueError no field zzz",
    )
