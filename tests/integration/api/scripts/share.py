"""Scripts of both sides that share a depot, as they use BentoCloud, with one import changed.

python share.py push|pull
"""

import sys

import airgap as bentoml
from airgap import bentos, models
from airgap.cloud import BentoCloudClient
from airgap.exceptions import NotFound


def push() -> None:
    bento = bentoml.get("adder:v1")
    bentoml.push(bento.tag, force=False)
    models.push("weights:v1")
    client = BentoCloudClient()
    client.bento.push(bento, threads=2)
    for entry in client.bento.list().items:
        print(entry.name, entry.version, entry.created_at[:2])


def pull() -> None:
    bento: bentoml.Bento = bentoml.pull("adder:latest")
    model = models.pull("weights:v1")
    print(bento.tag, model.tag, bentos.get("adder").info.version)
    client = BentoCloudClient()
    print(client.bento.pull("adder:v1", with_models=True).tag, client.model.get("weights").tag)
    try:
        bentos.pull("nothing:v1")
    except NotFound:
        print("NotFound")


if __name__ == "__main__":
    push() if sys.argv[1] == "push" else pull()
