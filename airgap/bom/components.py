"""Components of a bill in CycloneDX: one for each item, package, data set and file (§30.1)."""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote as percent

from airgap.bom.bill import BilledItem
from airgap.bom.claims import LicenceClaim, Licences
from airgap.bom.facts import Facts
from airgap.bom.policy import find_difference
from airgap.format.inventory import File
from airgap.format.kinds import BENTO, HUGGING_FACE, IMAGE, MODEL
from airgap.format.wheelhouse import WHEELS, LockedPackage

__all__ = [
    "dataset_ref",
    "describe_dataset",
    "describe_item",
    "describe_wheels",
    "make_properties",
    "wheel_ref",
]

_TYPES: Final = {
    BENTO.name: "application",
    MODEL.name: "machine-learning-model",
    HUGGING_FACE.name: "machine-learning-model",
    IMAGE.name: "container",
}
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_URL: Final = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[\w.~/%?=&#:@!$'()*+,;-]*)?", re.ASCII
)
_HUB: Final = "https://huggingface.co"


def describe_item(billed: BilledItem, *, with_files: bool = True) -> dict[str, Any]:
    """Describe an item with its files; the packages of a wheelhouse are components of their own."""
    item, facts = billed.item, billed.facts
    component: dict[str, Any] = {
        "type": _TYPES.get(item.kind, "data"),
        "bom-ref": billed.ref,
        **_name_item(billed),
        "version": item.version,
    }
    component |= _describe_licences(facts.licences)
    purl = _find_purl(billed)
    if purl:
        component["purl"] = purl
    if facts.card.base_models or facts.weights.base_models:
        component["pedigree"] = {"ancestors": _describe_ancestors(facts)}
    if item.kind == HUGGING_FACE.name:
        component["externalReferences"] = _describe_references(billed)
    wheels = {f"{WHEELS}{package.file}" for package in billed.packages}
    files = [file for file in item.files if file.path not in wheels] if with_files else []
    if files:
        component["components"] = [_describe_file(billed, file) for file in files]
    component["properties"] = make_properties(
        [
            ("airgap:kind", item.kind),
            ("airgap:item-digest", f"sha256:{item.digest.hex()}"),
            ("airgap:files", str(len(item.files))),
            *_list_properties(facts),
        ]
    )
    if component["type"] == "machine-learning-model":
        component["modelCard"] = _describe_card(billed)
    if component["type"] == "data":
        component["data"] = [{"type": "other", "name": item.name}]
    return component


def describe_wheels(billed: Iterable[BilledItem]) -> dict[str, dict[str, Any]]:
    """Describe the packages of wheelhouses, by their digest: two may have the same wheel."""
    return {
        wheel_ref(package): _describe_wheel(package, wheelhouse)
        for wheelhouse in billed
        for package in wheelhouse.packages
    }


def wheel_ref(package: LockedPackage) -> str:
    """Return what other parts of the bill call a package."""
    return f"wheel:{package.sha256.hex()}"


def dataset_ref(name: str) -> str:
    """Return what other parts of the bill call a data set."""
    return f"dataset:{name}"


def describe_dataset(name: str) -> dict[str, Any]:
    """Describe a data set of which a model card gives only the name."""
    data: dict[str, Any] = {"type": "dataset", "name": name}
    if _REPOSITORY.fullmatch(name):
        data["contents"] = {"url": f"{_HUB}/datasets/{name}"}
    return {"type": "data", "bom-ref": dataset_ref(name), "name": name, "data": [data]}


def make_properties(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Write names and values in the form of CycloneDX."""
    return [{"name": name, "value": value} for name, value in pairs]


def _name_item(billed: BilledItem) -> dict[str, str]:
    if billed.item.kind == HUGGING_FACE.name:
        owner, separator, name = billed.item.name.partition("--")
        return {"group": owner, "name": name} if separator else {"name": owner}
    return {"name": billed.item.name}


def _find_purl(billed: BilledItem) -> str:
    item = billed.item
    if item.kind == HUGGING_FACE.name:
        return f"pkg:huggingface/{'/'.join(map(percent, item.name.split('--', 1)))}@{item.version}"
    index = billed.facts.image
    if index is None:
        return ""
    repository = index.reference.partition("@")[0]
    head, colon, tag = repository.rpartition(":")
    if not colon or "/" in tag:
        head, tag = repository, ""
    name = percent(head.rpartition("/")[2].lower(), safe="")
    qualifiers = [f"repository_url={percent(head, safe='')}", f"tag={percent(tag, safe='')}"]
    shown = "&".join(qualifiers if tag else qualifiers[:1])
    return f"pkg:oci/{name}@sha256%3A{index.digest}?{shown}"


def _describe_file(billed: BilledItem, file: File) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "file",
        "bom-ref": f"{billed.ref}#{file.path}",
        "name": file.path,
        "hashes": _describe_digest(file.digest),
    }
    layer = billed.facts.layers.get(file.digest.hex()) if billed.facts.image else None
    if layer:
        component["mime-type"] = layer
        component["properties"] = make_properties([("airgap:image-layer", "true")])
    return component


def _describe_wheel(package: LockedPackage, wheelhouse: BilledItem) -> dict[str, Any]:
    licences = wheelhouse.facts.wheels.get(f"{WHEELS}{package.file}", Licences())
    lock = wheelhouse.facts.lock
    built = [entry for entry in lock.built if entry.name == package.name] if lock else []
    version = percent(package.version, safe="")
    return {
        "type": "library",
        "bom-ref": wheel_ref(package),
        "name": package.name,
        "version": package.version,
        "hashes": _describe_digest(package.sha256),
        **_describe_licences(licences),
        "purl": f"pkg:pypi/{package.name}@{version}?file_name={percent(package.file, safe='')}",
        "properties": make_properties(
            [
                ("airgap:wheelhouse", wheelhouse.item.tag),
                ("airgap:size", str(package.size)),
                *[("airgap:built-from", f"sha256:{entry.sdist.hex()}") for entry in built],
                *_list_licence_properties(licences),
            ]
        ),
    }


def _describe_licences(licences: Licences) -> dict[str, Any]:
    """Describe what is stated; what is only recognized by its text is concluded from it."""
    stated = [claim for claim in licences.claims if claim.name]
    if len({claim.name for claim in stated}) == 1 and stated[0].form == "expression":
        return {"licenses": [{"expression": stated[0].name, "acknowledgement": "declared"}]}
    by_name = {claim.name: _describe_licence(claim) for claim in stated}
    for text in licences.texts:
        if text.name and text.name not in by_name:
            form = "id" if text.name[0].isupper() else "name"
            by_name[text.name] = {form: text.name, "acknowledgement": "concluded"}
    return {"licenses": [{"license": licence} for licence in by_name.values()]} if by_name else {}


def _describe_licence(claim: LicenceClaim) -> dict[str, Any]:
    form = "id" if claim.form == "id" else "name"
    licence: dict[str, Any] = {form: claim.name, "acknowledgement": "declared"}
    if _URL.fullmatch(claim.link):
        licence["url"] = claim.link
    return licence


def _describe_digest(digest: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.hex()}]


def _describe_ancestors(facts: Facts) -> list[dict[str, Any]]:
    names = dict.fromkeys((*facts.card.base_models, *facts.weights.base_models))
    return [_describe_ancestor(name) for name in names]


def _describe_ancestor(name: str) -> dict[str, Any]:
    ancestor: dict[str, Any] = {"type": "machine-learning-model", "name": name}
    if _REPOSITORY.fullmatch(name):
        owner, _, model = name.partition("/")
        purl = f"pkg:huggingface/{percent(owner)}/{percent(model)}"
        ancestor |= {"group": owner, "name": model, "purl": purl}
    return ancestor


def _describe_references(billed: BilledItem) -> list[dict[str, Any]]:
    """Name where a snapshot is from, and its model card there."""
    item, path = billed.item, billed.facts.card_path
    home = f"{_HUB}/{percent(item.name.replace('--', '/', 1))}"
    references: list[dict[str, Any]] = [{"type": "distribution", "url": home}]
    card = next((file for file in item.files if file.path == path), None)
    if card:
        url = f"{home}/blob/{item.version}/{percent(path)}"
        digest = _describe_digest(card.digest)
        references.append({"type": "model-card", "url": url, "hashes": digest})
    return references


def _describe_card(billed: BilledItem) -> dict[str, Any]:
    facts = billed.facts
    card, configuration = facts.card, facts.configuration
    parameters: dict[str, Any] = {
        "task": card.task,
        "architectureFamily": configuration.model_type or facts.weights.architecture,
        "modelArchitecture": next(iter(configuration.architectures), ""),
        "datasets": [{"ref": dataset_ref(name)} for name in card.datasets],
    }
    described: dict[str, Any] = {"bom-ref": f"{billed.ref}#model-card"}
    parameters = {name: value for name, value in parameters.items() if value}
    if parameters:
        described["modelParameters"] = parameters
    if card.metrics:
        described["quantitativeAnalysis"] = {
            "performanceMetrics": [
                {"type": metric.type, "value": metric.value}
                | ({"slice": metric.data} if metric.data else {})
                for metric in card.metrics
            ]
        }
    properties = [("airgap:language", language) for language in card.languages]
    if card.library:
        properties.insert(0, ("airgap:library", card.library))
    if properties:
        described["properties"] = make_properties(properties)
    return described


def _list_properties(facts: Facts) -> list[tuple[str, str]]:
    properties = [
        ("airgap:chat-template", f"sha256:{digest} {path}") for digest, path in facts.chat_templates
    ]
    properties += [("airgap:executes-code", path) for path in facts.code]
    return [*properties, *_list_licence_properties(facts.licences)]


def _list_licence_properties(licences: Licences) -> list[tuple[str, str]]:
    """Say where each licence is stated, as written; or that none is."""
    properties = [
        ("airgap:licence-source", f"{claim.source} = {claim.raw}{_name_digest(claim.sha256)}")
        for claim in licences.claims
    ]
    properties += [
        (
            "airgap:licence-text",
            f"{text.path} {text.name or '(not recognized)'}{_name_digest(text.sha256)}",
        )
        for text in licences.texts
    ]
    properties += [("airgap:unread", reason) for reason in licences.unreadable]
    difference = find_difference(licences)
    if difference:
        properties.append(("airgap:licence-differs", difference))
    if not licences.names and not any(text.name for text in licences.texts):
        properties.append(("airgap:licence", "NOASSERTION"))
    return properties


def _name_digest(digest: bytes | None) -> str:
    return f" (sha256:{digest.hex()})" if digest else ""
