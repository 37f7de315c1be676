"""The Merkle tree over a ledger's entries: RFC 6962 §2.1, with SHA-256 (format §28.1).

A leaf is the digest of an entry. Trees are given as the digests of all their leaves, in order.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "compute_edge",
    "compute_root",
    "fold_edge",
    "hash_leaf",
    "join_nodes",
    "list_consistency",
    "list_inclusion",
    "prove_consistency",
    "prove_inclusion",
    "push_leaf",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT: Final = hashlib.sha256().digest()
_LEAF: Final = b"\0"
_NODE: Final = b"\1"


def hash_leaf(entry: bytes) -> bytes:
    """Return the leaf of an entry, whose bytes have no length before them."""
    return hashlib.sha256(_LEAF + entry).digest()


def compute_root(leaves: Iterable[bytes]) -> bytes:
    """Return the root of a tree, in one pass, with no more digests kept than the tree is high."""
    return fold_edge(compute_edge(leaves))


def compute_edge(leaves: Iterable[bytes]) -> list[bytes]:
    """Return a tree's right edge: the roots of its full subtrees, the largest one first.

    There is one for each bit of the number of leaves (format §17.4).
    """
    edge: list[bytes] = []
    for count, leaf in enumerate(leaves):
        push_leaf(edge, count, leaf)
    return edge


def push_leaf(edge: list[bytes], count: int, leaf: bytes) -> None:
    """Change the right edge of a tree of ``count`` leaves into that with one more leaf."""
    root = leaf
    while count & 1:
        root = join_nodes(edge.pop(), root)
        count >>= 1
    edge.append(root)


def fold_edge(edge: Sequence[bytes]) -> bytes:
    """Return the root of a tree by its right edge."""
    if not edge:
        return EMPTY_ROOT
    root = edge[-1]
    for left in reversed(edge[:-1]):
        root = join_nodes(left, root)
    return root


def prove_inclusion(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the digests that lead from a leaf to the root (RFC 6962 §2.1.1).

    Raises:
        ValueError: the tree has no such leaf.
    """
    parts = list_inclusion(index, len(leaves))
    return tuple(compute_root(leaves[start:end]) for start, end in parts)


def prove_consistency(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """Return the digests that show that a tree begins with its ``old`` first leaves (§2.1.2).

    Raises:
        ValueError: the tree never had so few or so many leaves.
    """
    parts = list_consistency(old, len(leaves))
    return tuple(compute_root(leaves[start:end]) for start, end in parts)


def list_inclusion(index: int, size: int) -> list[tuple[int, int]]:
    """Return the parts of a tree, from leaf to leaf, whose roots lead from a leaf to its root.

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    parts: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start = middle
    return parts[::-1]


def list_consistency(old: int, size: int) -> list[tuple[int, int]]:
    """Return the parts of a tree whose roots show that it begins with its ``old`` first leaves.

    Raises:
        ValueError: the tree never had so few or so many leaves.
    """
    if not 0 < old <= size:
        raise ValueError(f"a tree of {size} leaves does not continue one of {old}")
    parts: list[tuple[int, int]] = []
    start, end = 0, size
    is_old = True  # the subtree from `start` is one that the old tree had, too
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start, is_old = middle, False
    if not is_old:
        parts.append((start, end))
    return parts[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether a path leads from leaf ``index`` to the root of a tree of ``size`` leaves."""
    if not 0 <= index < size:
        return False
    sides = _find_sides(index, size - 1, len(path))
    digest = leaf
    for other, is_left in zip(path, sides, strict=False):
        digest = join_nodes(other, digest) if is_left else join_nodes(digest, other)
    return len(sides) == len(path) and digest == root


def verify_consistency(
    old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether a path shows that a tree of ``size`` leaves begins with one of ``old``."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not path and old_root == root
    digests = list(path)
    if old & (old - 1) == 0:  # the old tree is one subtree of the new one
        digests.insert(0, old_root)
    if not digests:
        return False
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    sides = _find_sides(index, last, len(digests) - 1)
    before = after = digests[0]
    for other, is_left in zip(digests[1:], sides, strict=False):
        if is_left:
            before, after = join_nodes(other, before), join_nodes(other, after)
        else:
            after = join_nodes(after, other)
    return len(sides) == len(digests) - 1 and before == old_root and after == root


def _find_sides(index: int, last: int, count: int) -> list[bool]:
    """Return for each digest of a path whether it stands to the left.

    ``index`` is a node, and ``last`` the last one of its row. What is returned has another length
    than ``count`` if a path of ``count`` digests does not end at the root.
    """
    sides: list[bool] = []
    while last:
        is_left = bool(index & 1) or index == last
        if is_left:
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        sides.append(is_left)
        if len(sides) > count:
            break
        index, last = index >> 1, last >> 1
    return sides


def join_nodes(left: bytes, right: bytes) -> bytes:
    """Return the digest of a node by those of its children."""
    return hashlib.sha256(_NODE + left + right).digest()


def _split(count: int) -> int:
    """Return the largest power of two below a count of at least 2."""
    return 1 << ((count - 1).bit_length() - 1)
