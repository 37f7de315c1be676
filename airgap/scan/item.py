"""The judgments of all files of an item, seen together."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from airgap.scan.verdicts import Judgment, inert, refused

__all__ = ["join_files"]


def join_files(judgments: Mapping[str, Judgment], sizes: Mapping[str, int]) -> dict[str, Judgment]:
    """Return the judgments by path, with what one file says about another one.

    Numbers alone are of no form. They are inert where an ONNX model of the same item says that
    they are its weights, up to their last byte; a model whose weights are not there is refused.
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
        if judgments[path].form == "unknown" and end == sizes[path]:
            joined[path] = inert("weights of ONNX")
    return joined
