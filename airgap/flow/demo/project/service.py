"""A service that tells the mood of a text.

The words that it knows are a model of Hugging Face; what it has learned of each, one of BentoML.
"""

import json
import math
from pathlib import Path

import bentoml


@bentoml.service
class Mood:
    tokenizer = bentoml.models.HuggingFaceModel("ward-7/tiny-words")
    learned = bentoml.models.BentoModel("mood-weights:v1")

    def __init__(self) -> None:
        tokens = json.loads(Path(self.tokenizer, "tokenizer.json").read_text())["model"]["vocab"]
        weights = json.loads(Path(self.learned.path_of("weights.json")).read_text())
        self.weights = {word: weights[token] for word, token in tokens.items()}

    @bentoml.api
    def classify(self, text: str) -> dict[str, str | float]:
        score = sum(self.weights.get(word, 0.0) for word in text.lower().split())
        glad = 1 / (1 + math.exp(-score))
        return {"mood": "glad" if glad > 0.5 else "sad", "certainty": round(max(glad, 1 - glad), 3)}
