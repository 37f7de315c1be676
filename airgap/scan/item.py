"""The assessments of all files of an item, seen together."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from airgap.scan.verdicts import Assessment, inert, refused

__all__ = ["join_files"]


def join_files(assessments: Mapping[str, Assessment]) -> dict[str, Assessment]:
    """Return the assessments by path, with what one file says about another one.

    Numbers alone are of no form. They are inert where an ONNX model of the same item says that
    they are its weights; and a model is refused whose weights are not there.
    """
    joined = dict(assessments)
    for path, assessment in assessments.items():
        for weights in assessment.weights:
            beside = str(PurePosixPath(path).parent / weights)
            if beside not in assessments:
                absent = refused(assessment.form, f"its weights, {weights}, are not in the item")
                joined[path] = replace(absent, reasons=(*joined[path].reasons, *absent.reasons))
            elif assessments[beside].form == "unknown":
                joined[beside] = inert("weights of ONNX")
    return joined
