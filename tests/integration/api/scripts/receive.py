"""A script that was written for BentoML, with one import changed: the isolated side.

    python receive.py FOLDER

It imports what ``ship.py`` exported into FOLDER, and removes it again.
"""

import sys

import airgap as bentoml


def receive(folder: str) -> bentoml.Bento:
    model: bentoml.Model = bentoml.models.import_model(f"{folder}/weights.bentomodel")
    print(model.tag.name, model.tag.version)
    return bentoml.import_bento(f"{folder}/adder.bento")


def main() -> None:
    bento = receive(sys.argv[1])
    print(bento.tag, bento.info.name, bentoml.get("adder").path == bento.path)
    again = bentoml.bentos.import_bento(path=f"{sys.argv[1]}/adder-v1.gz", input_format="gz")
    print(again.tag)
    bentoml.delete("adder:v1")
    bentoml.models.delete("weights:v1")
    print(len(bentoml.list()), len(bentoml.models.list()))
    try:
        bentoml.models.delete("weights:v1")
    except bentoml.exceptions.BentoMLException as error:
        print(type(error).__name__ in ("NotFound", "MissingError"))


if __name__ == "__main__":
    main()
