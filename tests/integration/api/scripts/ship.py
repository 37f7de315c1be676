"""A script that was written for BentoML, with one import changed: the connected side.

    python ship.py FOLDER

It saves a model, builds a Bento, and exports it into FOLDER. A test also runs it with its first
import unchanged.
"""

import sys
from pathlib import Path

import airgap as bentoml

SERVICE = """
import bentoml

@bentoml.service
class Adder:
    model = bentoml.models.BentoModel("weights:v1")

    @bentoml.api
    def add(self, a: int, b: int) -> int:
        return a + b
"""


def save(text: str) -> bentoml.Tag:
    with bentoml.models.create(bentoml.Tag("weights", "v1"), labels={"owner": "anna"}) as model:
        Path(model.path_of("weights.txt")).write_text(text)
    return bentoml.models.get("weights:latest").tag


def build(folder: Path) -> bentoml.Bento:
    (folder / "service.py").write_text(SERVICE)
    return bentoml.build(
        "service:Adder",
        name="adder",
        version="v1",
        build_ctx=str(folder),
        models=["weights:v1"],
        labels={"stage": "test"},
        python={"lock_packages": False},  # or a package index is asked
    )


def export(folder: Path, bento: bentoml.Bento) -> list[str]:
    written = bentoml.export_bento(bento.tag, str(folder / "adder.bento"))
    packed = bentoml.export_bento("adder:latest", str(folder), output_format="gz")
    alone = bentoml.models.export_model("weights:v1", str(folder / "weights.bentomodel"))
    return [Path(path).name for path in (written, packed, alone)]


def describe(tag: str) -> str:
    bento: bentoml.Bento = bentoml.get(tag)
    model: bentoml.Model = bentoml.models.get("weights:v1")
    size = Path(model.path, "weights.txt").stat().st_size
    return f"{bento.tag} {bento.info.labels['stage']} {model.info.labels['owner']} {size}"


def main() -> None:
    folder = Path(sys.argv[1])
    print(save("1, 2, 3"))
    bento = build(folder)
    print(Path(bento.path).is_dir(), describe("adder:v1"))
    print(*export(folder, bento))
    print([str(item.tag) for item in bentoml.list()], [str(m.tag) for m in bentoml.models.list()])
    print(len(bentoml.list("adder")), len(bentoml.bentos.list(bento.tag)))
    try:
        bentoml.get("nothing:v1")
    except bentoml.exceptions.NotFound as error:
        print("NotFound", error.error_code.value)


if __name__ == "__main__":
    main()
