"""A service that tells the mood of a text, by the words that its model has learned."""

import json
import math
from pathlib import Path

import bentoml


@bentoml.service
class Mood:
    words = bentoml.models.BentoModel("mood-words:v1")

    def __init__(self) -> None:
        self.weights = json.loads(Path(self.words.path_of("weights.json")).read_text())

    @bentoml.api
    def classify(self, text: str) -> dict[str, str | float]:
        score = sum(self.weights.get(word, 0.0) for word in text.lower().split())
        glad = 1 / (1 + math.exp(-score))
        return {"mood": "glad" if glad > 0.5 else "sad", "certainty": round(max(glad, 1 - glad), 3)}
