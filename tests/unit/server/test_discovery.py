"""Bundles are found by their names, within limits; what is not searched is reported."""

from pathlib import Path

import pytest

from airgap.format import limits
from airgap.server.intake.discovery import (
    DiscoveredBundle,
    UnsearchedFolderError,
    find_bundles,
)


def make_files(top: Path, *names: str) -> None:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def find(top: Path, **options: Path) -> tuple[list[str], list[str]]:
    """Return the names of the bundles that are found, and why others are not."""
    results = [*find_bundles(top, **options)]  # type: ignore[arg-type]
    bundles = [result for result in results if isinstance(result, DiscoveredBundle)]
    errors = [result for result in results if isinstance(result, UnsearchedFolderError)]
    return [bundle.path.name for bundle in bundles], [error.message for error in errors]


def test_a_folder_with_too_many_names_hides_no_bundle_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLDER_NAMES", 10)
    make_files(tmp_path, *(f"full/{number}" for number in range(11)), "full/x.airgap")
    make_files(tmp_path, "full/below/z.airgap", "other/y.airgap")

    bundles, errors = find(tmp_path)

    assert bundles == ["y.airgap"]
    (error,) = errors
    assert error.startswith(f"{tmp_path / 'full'} holds 13 names or more, and at most 10 ")


def test_a_depot_with_too_many_bundles_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLDER_NAMES", 3)
    make_files(tmp_path, *(f"depot/bundles/{number}/manifest.msgpack" for number in range(4)))

    bundles, errors = find(tmp_path)

    assert bundles == []
    assert errors[0].startswith(f"{tmp_path / 'depot/bundles'} holds 4 names or more")


def test_a_folder_that_is_too_deep_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATH_PARTS", 2)
    make_files(tmp_path, "a/b/x.airgap", "a/b/c/y.airgap")

    bundles, errors = find(tmp_path)

    assert bundles == ["x.airgap"]
    assert len(errors) == 1
    assert str(tmp_path / "a/b") in errors[0]


def test_the_end_of_a_name_may_be_in_capitals(tmp_path: Path) -> None:
    """As FAT keeps them on many sticks."""
    make_files(tmp_path, "SHOP.AIRGAP", "shop.airgap", ".AIRGAP", "shop.airgap.txt")

    assert find(tmp_path) == (["SHOP.AIRGAP", "shop.airgap"], [])


def test_a_skipped_folder_is_not_searched_and_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLDER_NAMES", 3)
    make_files(tmp_path, "x.airgap", *(f"done/imported/{number}.airgap" for number in range(9)))

    assert find(tmp_path, skipped=tmp_path / "done") == (["x.airgap"], [])


@pytest.mark.parametrize("link", ["depot/bundles", f"depot/bundles/{'a' * 64}"])
def test_a_link_in_a_depot_leads_to_no_bundle_of_another(link: str, tmp_path: Path) -> None:
    other, watched = tmp_path / "other", tmp_path / "watched"
    make_files(other, f"bundles/{'a' * 64}/manifest.msgpack")
    assert find(other) == (["other"], [])

    (watched / link).parent.mkdir(parents=True)
    (watched / link).symlink_to(other / Path(link).relative_to("depot"))

    assert find(watched) == ([], [])
