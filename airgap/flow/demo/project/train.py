"""Learn which words are glad and which are sad.

The words become a model in the cache of Hugging Face, as a download would lay it out; what was
learned of each becomes one in BentoML's model store.
"""

import hashlib
import json
import os
from pathlib import Path

import bentoml
import numpy as np

GLAD = """
what a lovely warm day|the team did a wonderful job|I am happy with the result
everything works and I love it|a great success for all of us|thank you for the kind help
the new ward is bright and good|we enjoyed every minute|excellent care and a friendly smile
""".strip()
SAD = """
what an awful cold day|the team did a terrible job|I am angry about the result
nothing works and I hate it|a bad failure for all of us|sorry for the rude answer
the old ward is dark and dirty|we regret every minute|poor care and a broken promise
""".strip()


def train(rounds: int = 400, rate: float = 0.5) -> dict[str, float]:
    """Fit a logistic regression over words by gradient descent; return each word's weight."""
    texts = [(text, mood) for mood, some in ((1, GLAD), (0, SAD)) for text in split(some)]
    words = sorted({word for text, _ in texts for word in text.split()})
    seen = np.array([[word in text.split() for word in words] for text, _ in texts], dtype=float)
    moods = np.array([mood for _, mood in texts])
    weights = np.zeros(len(words))
    for _ in range(rounds):
        guesses = 1 / (1 + np.exp(-(seen @ weights)))
        weights -= rate * seen.T @ (guesses - moods) / len(moods)
    return dict(zip(words, weights.round(6).tolist(), strict=True))


def split(some: str) -> list[str]:
    return some.lower().replace("\n", "|").split("|")


def lay_into_cache(repository: str, file: str, data: bytes) -> str:
    """Lay a file out in the cache of Hugging Face: a blob, a link to it, a commit and its name."""
    top = Path(os.environ["BENTOML_HF_CACHE_DIR"], f"models--{repository.replace('/', '--')}")
    commit, blob = hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest()  # noqa: S324
    for folder in ("blobs", "refs", f"snapshots/{commit}"):
        (top / folder).mkdir(parents=True)
    (top / "blobs" / blob).write_bytes(data)
    (top / "snapshots" / commit / file).symlink_to(f"../../blobs/{blob}")
    (top / "refs" / "main").write_text(commit)
    return commit


if __name__ == "__main__":
    weights = train()
    vocabulary = {"model": {"vocab": {word: token for token, word in enumerate(weights)}}}
    commit = lay_into_cache("ward-7/tiny-words", "tokenizer.json", json.dumps(vocabulary).encode())
    with bentoml.models.create("mood-weights:v1") as model:
        Path(model.path, "weights.json").write_text(json.dumps([*weights.values()], indent=1))
    sentences = len(split(GLAD)) + len(split(SAD))
    print(f"ward-7/tiny-words, commit {commit[:8]}, has {len(weights)} words")
    print(f"{model.tag} has learned their moods from {sentences} sentences")
