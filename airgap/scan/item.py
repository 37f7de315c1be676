"""The judgments of all files of an item, seen together."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from airgap.scan.verdicts import NUMBERS, Judgment, inert, refused

__all__ = ["join_files"]

_WEIGHTS: Final = re.compile(r"[._](data|bin|weights?|bias)(_\d+)?$|(^|/)onnx__\w+$")


def join_files(judgments: Mapping[str, Judgment], sizes: Mapping[str, int]) -> dict[str, Judgment]:
    """Return the judgments by path, with what one file says about another one.

    Numbers alone are of no form. They are inert where their name says that they are weights, and
    an ONNX model of the same item says that they are its own, up to their last byte. What has a
    form of its own, or made the gate fail, stays refused; so is a model without its weights.
    ``sizes`` has the bytes of each file.
    """
    joined = dict(judgments)
    ends: dict[str, int] = {}
    for path, judgment in judgments.items():
        for weights in judgment.weights:
            beside = str(PurePosixPath(path).parent / weights.path)
            if beside not in judgments or sizes[beside] < weights.end:
                why = f"its weights, {weights.path}, are not in the item, or are cut off"
                joined[path] = refused(judgment.form, why)
            else:
                ends[beside] = max(ends.get(beside, 0), weights.end)
    for path, end in ends.items():
        is_weights = judgments[path].form == NUMBERS and _WEIGHTS.search(path)
        if is_weights and end == sizes[path]:
            joined[path] = inert("weights of ONNX")
    return joined
