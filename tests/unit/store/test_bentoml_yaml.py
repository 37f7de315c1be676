"""What airgap takes from a bento.yaml."""

import pytest

from airgap.store.bentoml_yaml import parse_description

HEAD = "name: a\nversion: v1\ncreation_time: '2026-01-02T03:04:05+00:00'\nservice: s:S\n"


@pytest.mark.parametrize(
    ("section", "python"),
    [
        ("image: {python_version: '3.11', base_image: x}", "3.11"),
        ("image: {python_version: 3.10}", "3.10"),
        ("docker: {python_version: '3.9'}", "3.9"),
        ("docker: {python_version: null}", ""),
        ("labels: {python_version: '3.9'}", ""),
    ],
)
def test_a_bento_says_which_python_it_is_for(section: str, python: str) -> None:
    raw = f"{HEAD}{section}\n".encode()
    assert parse_description(raw, "bento.yaml", with_models=True).python == python
