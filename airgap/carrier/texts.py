"""What lies beside bundles for people and is never trusted: two texts of a depot (format §8)."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from airgap.format import layout

__all__ = ["texts"]


@cache
def texts() -> Mapping[str, bytes]:
    """Return the README and the second verifier, by depot name.

    The verifier is ``docs/verify.py``, in the package under a name that no tool takes for a module.
    """
    verifier = Path(__file__).with_name("verifier.txt").read_bytes()
    return {layout.README_NAME: layout.README, layout.VERIFIER_NAME: verifier}
