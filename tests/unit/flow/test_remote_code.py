"""Code of other repositories that a model's configuration names."""

import json

import pytest

from airgap.flow.exporting.remote_code import find_repositories


@pytest.mark.parametrize(
    ("auto_map", "repositories"),
    [
        ({"AutoModel": "modeling_bert.BertModel"}, set()),
        ({"AutoModel": "bank/code--modeling_bert.BertModel"}, {"bank/code"}),
        ({"AutoTokenizer": ["bank/slow--t.T", None], "AutoConfig": "bank/code--c.C"},
         {"bank/slow", "bank/code"}),
        ({"AutoModel": None, "AutoConfig": {"deep": 1}}, set()),
        ([], set()),
        ({"AutoModel": "--c.C"}, set()),
    ],
)  # fmt: skip
def test_they_are_found(auto_map: object, repositories: set[str]) -> None:
    assert find_repositories(json.dumps({"auto_map": auto_map}).encode()) == repositories


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b'{"auto_map": 1}', b"[" * 100_000])
def test_what_is_no_configuration_names_none(text: bytes) -> None:
    assert find_repositories(text) == set()
