"""Evidence about bundles: files of others that travel with them, and all of it for auditors."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.errors import UsageError
from airgap.flow.bundle.foreign_file import read_foreign_file
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.bundle.open_to_sign import name_bundle
from airgap.flow.bundle.reports import describe_files, judge_files
from airgap.flow.evidence import attach_file
from airgap.flow.evidence.collect import collect
from airgap.flow.evidence.write import write_evidence
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import parse_location

__all__ = ["attach", "collect_evidence"]


@edge
def attach(  # noqa: PLR0913  (options)
    src: StrPath | Sequence[StrPath],
    file: StrPath,
    *,
    name: str = "",
    bundle: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.AttachedFileDict:
    """Let a file travel with a bundle, byte for byte. Nothing of it is checked.

    Args:
        src: a depot, ``DEPOT#ID``, or a ``.airgap`` file; or a list of volumes of one bundle.
        file: evidence of others, such as a model's signature or a scanner's output.
        name: what its name among the attachments begins with; default: as the file is called.
        bundle: the full id of the bundle that is meant; required if ``src`` holds several.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called with notes, such as that the bundle has other volumes.

    Raises:
        UsageError: several bundles are there, or the name or the size of the file does not fit.
        ConflictError: another attachment has this name, or no room is left.
        AirgapError: the bundle cannot be reached, read or written.
    """
    pieces = Pieces(None, user, passwd, params)
    sources = [src] if isinstance(src, str | PathLike) else src
    texts = [join_pieces(source, pieces) for source in sources]
    if not texts:
        raise UsageError("There is nothing to attach to.", "Give a bundle, or its volumes.")
    foreign = read_foreign_file(Path(file), name)
    locations = [name_bundle(parse_location(text), bundle) for text in texts]
    attached = attach_file.attach_file(
        locations, foreign, make_progress(progress), connect(texts[0], pieces)
    )
    judged = judge_files({foreign.file: foreign.data}, attached, None)
    (description,) = describe_files(judged)
    return cast("results.AttachedFileDict", {"bundle": attached, **description})


@edge
def collect_evidence(
    src: StrPath,
    output: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.EvidenceDict:
    """Collect what speaks of a bundle, for other programs. Nothing is verified.

    Args:
        src: a depot, ``DEPOT#ID``, or a ``.airgap`` file.
        output: a file whose name ends in ``.jsonl``, which becomes an in-toto bundle; or a new
            folder, with all that openssl needs.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        ConflictError: the folder is not empty.
        AirgapError: there is no bundle, or it is damaged; or the output cannot be written.
    """
    pieces, path = Pieces(None, user, passwd, params), Path(output)
    text = join_pieces(src, pieces)
    require_folder_above(path)
    with open_unverified(parse_location(text), connect(text, pieces)) as opened:
        evidence = collect(opened)
    return cast("results.EvidenceDict", write_evidence(evidence, path))
