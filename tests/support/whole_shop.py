"""Bundles with an item of every kind, and what they leave on the side that imports them."""

import json
from pathlib import Path

from tests.support import closure_items, environments, forge, stores
from tests.support.forge import Draft, Forge, Item
from tests.support.sides import Side

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SNAPSHOT = f"acme--tiny:{COMMIT}"


def items(version: str = "v1", model: str = "v1") -> list[Item]:
    """A Bento of a version that needs a model and a snapshot, and comes with all else."""
    entries = [{"tag": f"ranker:{model}"}, stores.hugging_face_entry("acme/tiny", COMMIT)]
    models = [json.dumps({"creation_time": stores.CREATED, **entry}) for entry in entries]
    lines = ["services:", "- name: Main", "  service: ''", "  models:"]
    more = "\n".join([*lines, *(f"  - {entry}" for entry in models)]) + "\n"
    requirements = f"tiny=={version.removeprefix('v')}.0\n".encode()
    letter = version.encode()
    wheels = dict([closure_items.wheel(version=f"{version.removeprefix('v')}.0")])
    return [
        forge.model({"weights.bin": b"weights " + model.encode()}, f"ranker:{model}"),
        Item("hugging-face", "acme--tiny", COMMIT, {"config.json": b"{}", "model.bin": b"hf"}),
        closure_items.files({"content/words.txt": b"words " + letter}),
        closure_items.wheelhouse(wheels, requirements_digest=environments.digest_of(requirements)),
        closure_items.image((b"layer " + letter,)),
        environments.bento(requirements, more, f"shop:{version}"),
    ]


def draft(version: str = "v1", model: str = "v1", sequence: int = 0) -> Draft:
    """All of them in one bundle."""
    return forge.draft(*items(version, model), reader=2, sequence=sequence)


def install(side: Side, forged: Forge, version: str = "v1", model: str = "v1") -> Path:
    """Import such a bundle, numbered as its version; return its depot."""
    depot = forged.depot(draft(version, model, int(version.removeprefix("v"))))
    ran = side.run("import", depot)
    assert ran.code == 0, ran.err
    return depot


def tags(version: str = "v1", model: str = "v1") -> dict[str, str]:
    """The tag of each item, by its kind."""
    return {item.kind: f"{item.name}:{item.version}" for item in items(version, model)}
