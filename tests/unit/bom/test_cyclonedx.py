"""Bills of materials, judged by the validator of cyclonedx-python-lib."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from airgap.bom.bill import Bill, BilledItem, list_subjects
from airgap.bom.cyclonedx import SpecVersion, encode_bill, make_serial_number, write_bill
from airgap.bom.facts import Facts
from airgap.printable import is_printable
from airgap.version import __version__
from tests.support import bill_items, closure_items, forge
from tests.support.bill_items import COMMIT, LICENCE_TEXTS, make_bill
from tests.support.sides import REPOSITORY

TEMPLATE = "{{ messages }}"
WHEELS = {
    f"{name}-{version}-py3-none-any.whl": bill_items.wheel(
        name, *headers, version=version, method=zipfile.ZIP_STORED
    )
    for name, version, headers in (
        ("alpha", "1.0", ["License-Expression: MIT AND ISC"]),
        ("beta", "2.0", ["License: Proprietary"]),
        ("gamma", "3.0", []),
    )
}
VERSIONS: tuple[SpecVersion, ...] = ("1.6", "1.7")


def snapshot() -> forge.Item:
    card = bill_items.card(
        license="other",
        license_name="llama3.1",
        license_link="https://host/LICENSE",
        pipeline_tag="text-generation",
        library_name="transformers",
        language=["en"],
        datasets=["allenai/c4", "own data"],
        base_model=["org/base", "a base"],
    )
    metrics = (
        b"model-index: [{results: [{dataset: {name: d}, metrics: [{type: f1, value: 0.5}]}]}]\n"
    )
    configuration = {"architectures": ["L"], "model_type": "llama", "auto_map": {"a": "b.c"}}
    return bill_items.snapshot(
        {
            "README.md": card.replace(b"license:", metrics + b"license:", 1),
            "LICENSE": LICENCE_TEXTS["llama3.1"],
            "config.json": json.dumps(configuration).encode(),
            "b.py": b"pass\n",
            "chat_template.jinja": TEMPLATE.encode(),
            "model.safetensors": bill_items.safetensors({"license": "apache-2.0"}),
            "model.gguf": bill_items.gguf({"general.architecture": "llama"}),
        }
    )


def everything() -> Bill:
    """A bill of items of each kind; the Bento names both models."""
    models = (
        b"models:\n- tag: ranker:v1\n  module: m\n  creation_time: '2026-01-02T03:04:05+00:00'\n"
    )
    bento = forge.bento({"src/service.py": b"pass\n", "src/LICENSE": b"Our own.\n"})
    described = bento.entries["bento.yaml"]
    assert isinstance(described, bytes)
    entries = dict(bento.entries) | {"bento.yaml": described + models}
    return make_bill(
        forge.model({"w.bin": b"w" * 9}),
        snapshot(),
        closure_items.files({"content/a": b"1"}),
        closure_items.wheelhouse(WHEELS, requirements_digest=bytes.fromhex(NO_FILES)),
        closure_items.image(),
        forge.Item("bento", "shop", "v1", entries),
        channel="production",
        sequence=7,
        audience=["ward"],
    )


NO_FILES = hashlib.sha256(b"\x80").hexdigest()
"""The digest of what a Bento says of its packages that says nothing (format §26)."""


def corpus() -> dict[str, Bill]:
    hostile = bill_items.card(
        license="\x1b[2J\u202eMIT",
        pipeline_tag="x" * 9_000,
        datasets=["../../etc", "a/b c", "\x00"],
        base_model=["http://\x1b/", "a/b"],
    )
    return {
        "everything": everything(),
        "a Bento": make_bill(forge.bento({"src/a.py": b"pass\n"})),
        "two Bentos": make_bill(forge.bento({}), forge.bento({}, "till:v1")),
        "a model": make_bill(forge.model({"w.bin": b"w"})),
        "a hostile card": make_bill(bill_items.snapshot({"README.md": hostile})),
        "a card that is not read": make_bill(bill_items.snapshot({"README.md": b"---\n[\n---\n"})),
        "a snapshot without owner": make_bill(bill_items.snapshot({"a": b"b"}, "gpt2")),
        "a wheelhouse": make_bill(closure_items.wheelhouse()),
        "an image": make_bill(closure_items.image()),
    }


@pytest.mark.parametrize("name", corpus())
@pytest.mark.parametrize("version", VERSIONS)
def test_a_bill_is_valid_under_the_strict_validator(name: str, version: SpecVersion) -> None:
    text = encode_bill(write_bill(corpus()[name], version)).decode()

    assert bill_items.validate(text, version) is None
    assert text.isascii()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_validator_refuses_an_invented_key(version: SpecVersion) -> None:
    document = write_bill(corpus()["a model"], version)
    document["components"][0]["modelCard"]["invented"] = 1

    assert bill_items.validate(json.dumps(document), version) is not None


@pytest.mark.parametrize("name", corpus())
def test_each_ref_is_unique_and_each_that_is_named_exists(name: str) -> None:
    document = write_bill(corpus()[name], "1.6")
    refs = list(list_refs(document))

    assert len(refs) == len(set(refs))
    named = [entry["ref"] for entry in document["dependencies"]]
    for entry in (*document["dependencies"], *document["compositions"]):
        for key in ("dependsOn", "dependencies", "assemblies"):
            named += entry.get(key, [])
    assert set(named) <= set(refs)


def list_refs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "bom-ref" in value:
            yield value["bom-ref"]
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from list_refs(part)


def test_the_same_bundle_gives_the_same_bytes() -> None:
    assert encode_bill(write_bill(everything(), "1.6")) == encode_bill(
        write_bill(everything(), "1.6")
    )


def test_the_serial_number_follows_from_the_bundle_id() -> None:
    first = Bill([], 0, "00" * 32)
    other = Bill([], 0, "ff" * 32)

    assert make_serial_number(first) == "urn:uuid:00000000-0000-8000-8000-000000000000"
    assert make_serial_number(other) == "urn:uuid:ffffffff-ffff-8fff-bfff-ffffffffffff"
    assert re.fullmatch(r"urn:uuid:[-0-9a-f]{36}", make_serial_number(Bill([], 0)))


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = [one for one in document["components"] if one["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def properties(described: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["name"], entry["value"]) for entry in described["properties"]]


def test_a_bill_is_about_the_only_bento_and_says_what_it_needs() -> None:
    document = write_bill(everything(), "1.6")
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}

    assert document["metadata"]["component"]["bom-ref"] == "bento:shop:v1"
    assert document["metadata"]["timestamp"].endswith("Z")
    assert "model:ranker:v1" in needs["bento:shop:v1"]
    house = next(ref for ref in needs["bento:shop:v1"] if ref.startswith("wheelhouse:"))
    assert len(needs[house]) == len(WHEELS)
    assert needs[f"hugging-face:org--model:{COMMIT}"] == ["dataset:allenai/c4", "dataset:own data"]
    assert ("airgap:sequence", "7") in properties(document["metadata"])


def test_a_model_is_described_by_its_card_its_ancestors_and_its_files() -> None:
    described = component(write_bill(everything(), "1.6"), "model")

    assert described["purl"] == f"pkg:huggingface/org/model@{COMMIT}"
    assert described["modelCard"]["modelParameters"] == {
        "task": "text-generation",
        "architectureFamily": "llama",
        "modelArchitecture": "L",
        "datasets": [{"ref": "dataset:allenai/c4"}, {"ref": "dataset:own data"}],
    }
    assert described["modelCard"]["quantitativeAnalysis"] == {
        "performanceMetrics": [{"type": "f1", "value": "0.5", "slice": "d"}]
    }
    names = [ancestor["name"] for ancestor in described["pedigree"]["ancestors"]]
    assert names == ["base", "a base"]
    digest = hashlib.sha256(b"pass\n").hexdigest()
    files = {file["name"]: file["hashes"][0]["content"] for file in described["components"]}
    assert files["b.py"] == digest


def test_a_model_says_its_licences_its_chat_template_and_the_code_that_it_runs() -> None:
    described = component(write_bill(everything(), "1.6"), "model")
    template = hashlib.sha256(TEMPLATE.encode()).hexdigest()
    text = hashlib.sha256(LICENCE_TEXTS["llama3.1"]).hexdigest()
    shown = properties(described)

    assert [licence["license"] for licence in described["licenses"]] == [
        {"name": "llama3.1", "acknowledgement": "declared", "url": "https://host/LICENSE"},
        {"id": "Apache-2.0", "acknowledgement": "declared"},
    ]
    assert ("airgap:chat-template", f"sha256:{template} chat_template.jinja") in shown
    assert ("airgap:executes-code", "config.json: auto_map") in shown
    assert ("airgap:executes-code", "b.py") in shown
    assert ("airgap:licence-text", f"LICENSE llama3.1 (sha256:{text})") in shown


def test_a_package_has_its_digest_its_purl_and_its_licence() -> None:
    document = write_bill(everything(), "1.6")
    alpha, beta, gamma = (component(document, name) for name in ("alpha", "beta", "gamma"))
    file = "alpha-1.0-py3-none-any.whl"

    assert alpha["purl"] == f"pkg:pypi/alpha@1.0?file_name={file}"
    assert alpha["hashes"][0]["content"] == hashlib.sha256(WHEELS[file]).hexdigest()
    assert alpha["licenses"] == [{"expression": "MIT AND ISC", "acknowledgement": "declared"}]
    assert beta["licenses"][0]["license"]["name"] == "Proprietary"
    assert "licenses" not in gamma
    assert ("airgap:licence", "NOASSERTION") in properties(gamma)


def test_an_image_has_its_purl_and_its_layers() -> None:
    document = write_bill(corpus()["an image"], "1.6")
    (image,) = [one for one in document["components"] if one["type"] == "container"]
    layers = [file for file in image["components"] if "mime-type" in file]

    assert image["purl"].startswith("pkg:oci/")
    assert "@sha256%3A" in image["purl"]
    assert layers
    for layer in layers:
        assert layer["name"] == f"blobs/sha256/{layer['hashes'][0]['content']}"


def test_what_is_not_complete_is_said() -> None:
    document = write_bill(corpus()["a Bento"], "1.6")

    assert {"aggregate": "incomplete", "dependencies": ["bento:shop:v1"]} in document[
        "compositions"
    ]
    short = write_bill(corpus()["a Bento"], "1.6", with_files=False)
    assert short["compositions"][0]["aggregate"] == "incomplete"
    assert "components" not in short["metadata"]["component"]


def test_what_strangers_write_does_nothing_to_a_terminal() -> None:
    document = json.loads(encode_bill(write_bill(corpus()["a hostile card"], "1.6")))

    assert find_unprintable(document) == []


def find_unprintable(value: object) -> list[str]:
    if isinstance(value, str):
        return [] if is_printable(value) else [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in find_unprintable(part)]


GOLDEN = REPOSITORY / "tests" / "vectors" / "bom" / "everything.cdx.json"


def test_the_bytes_are_those_of_the_vector() -> None:
    """It is never written again silently: another reader may have kept the digest of a bill."""
    text = encode_bill(write_bill(everything(), "1.6")).decode()

    assert text.replace(f'"version": "{__version__}"', '"version": "VERSION"') == GOLDEN.read_text()


def test_a_policy_decides_about_packages_in_place_of_their_wheelhouse() -> None:
    labels = [subject.label for subject in list_subjects(everything().items)]

    assert {"wheel alpha==1.0", "wheel beta==2.0", "wheel gamma==3.0"} < set(labels)
    assert not [label for label in labels if label.startswith("wheelhouse")]
    house = everything().items[3]
    unread = BilledItem(house.item, Facts())
    (subject,) = list_subjects([unread])
    assert subject.label.startswith("wheelhouse ")
    assert subject.licences.unreadable
