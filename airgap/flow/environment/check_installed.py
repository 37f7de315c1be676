"""Compares what is installed with the lock: ``python -I check_installed.py PIP-WHEEL``.

A process of the environment's own Python, which imports nothing of airgap. It reads a JSON map from
name to version on standard input, and writes one line for each difference.
"""

import base64
import hashlib
import importlib
import json
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any

_PIECE_BYTES = 1024 * 1024


def main(pip: str) -> int:
    """Return 0 if everything is as the lock says."""
    sys.path.insert(0, pip)
    utils = importlib.import_module("pip._vendor.packaging.utils")
    version = importlib.import_module("pip._vendor.packaging.version")

    def same(first: str, second: str) -> bool:
        try:
            return bool(version.Version(first) == version.Version(second))
        except version.InvalidVersion:
            return first == second

    expected = json.load(sys.stdin)
    distributions = {
        utils.canonicalize_name(found.metadata["Name"] or ""): found
        for found in metadata.distributions(path=[path for path in sys.path if path != pip])
    }
    problems = [f"{name} is not installed" for name in sorted(expected.keys() - distributions)]
    problems += [
        f"{name} is installed, and is not in the lock"
        for name in sorted(distributions.keys() - expected)
    ]
    for name in sorted(expected.keys() & distributions):
        if not same(distributions[name].version, expected[name]):
            problems.append(f"{name} calls itself {distributions[name].version}")
    problems += compare_records(distributions)
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


def compare_records(distributions: Any) -> list[str]:  # noqa: ANN401  (of importlib.metadata)
    """Compare each file with the digest that RECORD gives it.

    A file that several packages have is as one of them says: the last one has replaced it.
    """
    digests = defaultdict(dict)  # type: ignore[var-annotated]
    for name, distribution in distributions.items():
        for file in distribution.files or ():
            if file.hash is not None:
                digests[str(file.locate())][name] = (file.hash.mode, file.hash.value)
    problems = []
    for path, recorded in digests.items():
        try:
            if any(has_digest(path, mode, value) for mode, value in recorded.values()):
                continue
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}")
            continue
        problems.append(f"{path} is not what the RECORD of {', '.join(sorted(recorded))} says")
    return problems


def has_digest(path: str, mode: str, value: str) -> bool:
    """Tell whether a file has a digest, in base64 without padding as RECORD has it."""
    try:
        digest = hashlib.new(mode)
    except ValueError:
        return False
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() == value.rstrip("=")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
