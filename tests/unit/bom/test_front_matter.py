"""Licences in the forms in which model cards of the Hugging Face hub state them."""

import pytest

from airgap.bom.model_card import Metric, ModelCard, read_model_card

# What a card says between its lines, and the licences that are read of it.
FORMS = [
    ("license: apache-2.0", ["Apache-2.0"]),
    ("license: mit", ["MIT"]),
    ("license: MIT", ["MIT"]),
    ("license: 'cc-by-4.0'", ["CC-BY-4.0"]),
    ('license: "cc-by-nc-4.0"', ["CC-BY-NC-4.0"]),
    ("license: cc-by-nc-sa-4.0", ["CC-BY-NC-SA-4.0"]),
    ("license: cc0-1.0", ["CC0-1.0"]),
    ("license: bsd-3-clause", ["BSD-3-Clause"]),
    ("license: bsd-3-clause-clear", ["BSD-3-Clause-Clear"]),
    ("license: gpl-3.0", ["GPL-3.0"]),
    ("license: agpl-3.0", ["AGPL-3.0"]),
    ("license: lgpl-lr", ["LGPLLR"]),
    ("license: odbl", ["ODbL-1.0"]),
    ("license: pddl", ["PDDL-1.0"]),
    ("license: c-uda", ["C-UDA-1.0"]),
    ("license: cdla-permissive-2.0", ["CDLA-Permissive-2.0"]),
    ("license: etalab-2.0", ["etalab-2.0"]),
    ("license: openrail", ["openrail"]),
    ("license: openrail++", ["openrail++"]),
    ("license: bigscience-bloom-rail-1.0", ["bigscience-bloom-rail-1.0"]),
    ("license: creativeml-openrail-m", ["creativeml-openrail-m"]),
    ("license: llama2", ["llama2"]),
    ("license: llama3.1", ["llama3.1"]),
    ("license: gemma", ["gemma"]),
    ("license: deepfloyd-if-license", ["deepfloyd-if-license"]),
    ("license:\n- apache-2.0", ["Apache-2.0"]),
    ("license: [mit, apache-2.0]", ["MIT", "Apache-2.0"]),
    ("license:\n- mit\n- MIT", ["MIT"]),
    ("license: other\nlicense_name: qwen-research\nlicense_link: LICENSE", ["qwen-research"]),
    ("license: other\nlicense_name: mit\nlicense_link: https://host/LICENSE", ["MIT"]),
    ("license: other", []),
    ("license: unknown", []),
    ("license:", []),
    ("license: ''", []),
    ("license: null", []),
    ("license: 3.0", ["3.0"]),
    ("license: {name: mit}", []),
    ("license: [[mit]]", []),
    ("language: en", []),
    ("license: Apache 2.0", ["Apache-2.0"]),
    ("license: apache-2.0 OR mit", ["apache-2.0 OR mit"]),
    ("license: apache-2.0\r\nlanguage: de\r", ["Apache-2.0"]),
]


@pytest.mark.parametrize(("text", "names"), FORMS)
def test_a_licence_is_read_from_front_matter(text: str, names: list[str]) -> None:
    card = read_model_card(f"---\n{text}\n---\n# A model\n".encode(), "README.md")

    assert list(dict.fromkeys(claim.name for claim in card.licences if claim.name)) == names


@pytest.mark.parametrize("text", ["other", "unknown"])
def test_a_licence_that_names_none_is_a_claim_without_a_name(text: str) -> None:
    (claim,) = read_model_card(f"---\nlicense: {text}\n---\n".encode(), "README.md").licences

    assert (claim.raw, claim.form, claim.name) == (text, "unknown", "")


def test_the_source_of_a_licence_is_file_and_field() -> None:
    card = read_model_card(b"---\nlicense: mit\n---\n", "docs/README.md")

    assert [(claim.source, claim.path) for claim in card.licences] == [
        ("docs/README.md: license", "docs/README.md")
    ]


@pytest.mark.parametrize("text", [b"", b"# A model\n", b"license: mit\n", b"--- \n- a\n---\n"])
def test_a_card_without_a_map_at_its_beginning_says_nothing(text: bytes) -> None:
    assert read_model_card(text, "README.md") == ModelCard()


def test_a_card_gives_task_data_ancestors_and_metrics() -> None:
    text = """---
pipeline_tag: text-generation
library_name: transformers
language: [en, 'no', de, de]
datasets: allenai/c4
base_model: [org/base, org/other]
model-index:
- name: a
  results:
  - dataset: {name: MTEB, type: mteb}
    metrics:
    - {type: accuracy, value: 0.5, name: x}
    - {type: f1}
    - 7
- results: {}
---
"""
    card = read_model_card(b"\xef\xbb\xbf" + text.encode(), "README.md")

    assert (card.task, card.library) == ("text-generation", "transformers")
    assert card.languages == ("en", "no", "de")
    assert card.datasets == ("allenai/c4",)
    assert card.base_models == ("org/base", "org/other")
    assert card.metrics == (Metric("accuracy", "0.5", "MTEB"),)


def test_a_text_is_cut_and_shows_what_cannot_be_seen() -> None:
    text = '---\npipeline_tag: "\\e[2J\\u202e' + "x" * 500 + '"\n---\n'
    task = read_model_card(text.encode(), "README.md").task

    assert task.startswith("\\x1b[2J\\u202exxx")
    assert len(task) < 250
    assert task.endswith("characters)")


def test_a_list_of_very_many_licences_names_none() -> None:
    licences = ", ".join(f"l{number}" for number in range(60))
    (claim,) = read_model_card(f"---\nlicense: [{licences}]\n---\n".encode(), "r").licences

    assert (claim.name, claim.raw) == ("", "60 licences")
