"""Archives: what is in them is judged, member by member."""

from collections.abc import Callable
from typing import Final

from airgap.scan.contents import Content
from airgap.scan.pickle_values import demand
from airgap.scan.pickles import follow_pickle
from airgap.scan.tars import list_tar
from airgap.scan.verdicts import Judgment, code, inert, join
from airgap.scan.zips import ZipMember, list_zip, open_member

__all__ = ["MemberJudge", "judge_tar", "judge_zip"]

MemberJudge = Callable[[str, Content], Judgment]
"""Judges a member by its name and content."""
_TORCH_FILES: Final = frozenset({"version", "byteorder", ".format_version", ".storage_alignment"})
_SMALL: Final = 64
_KERAS_FILES: Final = frozenset({"config.json", "metadata.json", "model.weights.h5"})
_EXPORTED_FILES: Final = frozenset({"serialized_exported_program.json", "archive_format"})
"""Names by which torch.export finds its programs, whose expressions it evaluates."""


def judge_zip(content: Content, judge_member: MemberJudge) -> Judgment:
    """Judge a zip: an archive of torch, of Keras or of NumPy; any other one is code at best.

    Raises:
        Unreadable: readers of zips would disagree about it, or a member is not as it says.
    """
    members = [member for member in list_zip(content) if not member.is_folder]
    names = {member.name for member in members}
    roots = {name.partition("/")[0] for name in names}
    root = roots.pop() if len(roots) == 1 else ""
    demand(not any(map(_is_exported, names)), "it is laid out as torch.export does")
    if any(name.split("/")[-1] == "data.pkl" for name in names):
        if f"{root}/constants.pkl" in names or any(
            name.startswith(f"{root}/code/") for name in names
        ):
            return code("TorchScript", "it holds a program of TorchScript")
        demand(f"{root}/data.pkl" in names, "it is not laid out as torch does")
        return _judge_torch(content, members, root, judge_member)
    judgments = [
        judge_member(member.name, open_member(content, member)).within(member.name)
        for member in members
    ]
    if names != _KERAS_FILES and not all(name.endswith(".npy") for name in names):
        judgments.append(code("zip", "the gate knows no framework that lays out a zip like this"))
    return join("zip", judgments)


def _is_exported(name: str) -> bool:
    *folders, last = name.lower().split("/")
    return last in _EXPORTED_FILES or ("models" in folders and last.endswith(".json"))


def _judge_torch(
    content: Content, members: list[ZipMember], root: str, judge_member: MemberJudge
) -> Judgment:
    """Judge an archive of torch: its pickle, and that each tensor has the size it says."""
    by_name = {member.name: member for member in members}
    whole = open_member(content, by_name[f"{root}/data.pkl"])
    pickle = follow_pickle(whole, may_store=True)
    demand(pickle.end == whole.size, "bytes follow the end of its pickle")
    passed = {f"{root}/data.pkl", f"{root}/.data/serialization_id"}
    passed |= {f"{root}/{name}" for name in _TORCH_FILES}
    for storage in pickle.storages:
        name = f"{root}/data/{storage.key}"
        member = by_name.get(name)
        size = storage.count * storage.width
        demand(member and member.size == size, f"{name} has another size than the pickle says")
        passed.add(name)
    for name in by_name.keys() & passed - {f"{root}/data.pkl"}:
        small = name.removeprefix(f"{root}/") in {*_TORCH_FILES, ".data/serialization_id"}
        demand(not small or by_name[name].size <= _SMALL, f"{name} is too large")
    others = [member for member in members if member.name not in passed]
    judgments = [
        judge_member(member.name, open_member(content, member)).within(member.name)
        for member in others
    ]
    if others:
        judgments.append(code("torch", f"{others[0].name} is not a file of torch"))
    return join("torch", [inert("torch"), *judgments])


def judge_tar(content: Content, judge_member: MemberJudge) -> Judgment:
    """Judge a tar: each of its files; raises Unreadable as above."""
    return join(
        "tar",
        (
            judge_member(member.name, content.part(member.start, member.size)).within(member.name)
            for member in list_tar(content)
        ),
    )
