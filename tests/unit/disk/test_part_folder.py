"""Folders appear complete or not at all, and abandoned ones are removed."""

from pathlib import Path

import pytest

from airgap.disk.part_folder import make_part_folder


def test_a_folder_that_is_renamed_stays_and_another_one_goes(top: Path) -> None:
    with make_part_folder(top / "new/made") as part:
        (part / "file").touch()
        part.rename(top / "new/made")
    with make_part_folder(top / "new/made") as part:
        (part / "file").touch()

    assert [path.name for path in (top / "new").iterdir()] == ["made"]
    assert (top / "new/made/file").exists()


def test_folders_above_one_that_is_not_renamed_go_with_it(top: Path) -> None:
    (top / "new").mkdir()
    with pytest.raises(KeyError), make_part_folder(top / "new/deep/er/made"):
        raise KeyError
    assert list((top / "new").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    top: Path,
) -> None:
    left = top / f"made.{'0' * 16}.part"
    (left / "deep").mkdir(parents=True)
    with make_part_folder(top / "made") as first, make_part_folder(top / "made") as second:
        assert first.is_dir()
        assert second != first
        assert not left.exists()


@pytest.mark.parametrize("name", ["made.part", f"made.{'g' * 16}.part", f"other.{'0' * 16}.part"])
def test_what_only_looks_like_a_part_stays(name: str, top: Path) -> None:
    (top / name).mkdir()
    with make_part_folder(top / "made"):
        pass
    assert (top / name).is_dir()


def test_one_that_another_process_removes_at_once_is_made_again(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    mkdir = Path.mkdir

    def make_and_lose(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        made.append(path.name)
        if len(made) == 1:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    with make_part_folder(top / "made") as part:
        assert part.is_dir()
    assert len(made) == 2
