"""``airgap kit``: make a folder that installs airgap where there is no package index."""

import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.lines.disk_use import written_lines
from airgap.cli.output import (
    Result,
    count_text,
    jobs_option,
    key_options,
    reports,
    size_text,
    tmpdir_option,
)
from airgap.cli.passphrases import read_passphrase
from airgap.cli.progress import make_progress
from airgap.cli.terms_options import bundle_options

if TYPE_CHECKING:
    from airgap.flow.exporting.terms import Terms
    from airgap.flow.kit.make import Kit, KitRequest


@click.command(name="kit", cls=HelpCommand)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The kit's folder, which is made.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="VERSION,...",
    help="For these versions of Python, such as 3.11,3.12,3.13, on manylinux_2_28 and this"
    " machine's architecture. Default: the version that runs airgap.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Also for this Python and platform, such as cp312-manylinux_2_28_aarch64; repeat it.",
)
@click.option(
    "--extra",
    "extras",
    multiple=True,
    metavar="NAME",
    help="Only these extras of airgap; repeat it. Default: all, which are bentoml, parity,"
    " pkcs11 and wheels (uv, pip).",
)
@click.option(
    "--index",
    "indexes",
    multiple=True,
    metavar="[NAME=]URL",
    help="Look packages up here; repeat it, the most important first. Default: as uv and pip are"
    " told by UV_DEFAULT_INDEX, UV_INDEX_URL or PIP_INDEX_URL, else pypi.org.",
)
@click.option(
    "--wheel",
    "wheels",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Take this wheel, of airgap itself or of a package that has none; repeat it.",
)
@bundle_options
@tmpdir_option
@key_options
@jobs_option
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    folder: Path,
    pythons: tuple[str, ...],
    targets: tuple[str, ...],
    extras: tuple[str, ...],
    indexes: tuple[str, ...],
    wheels: tuple[Path, ...],
    roots: dict[str, bytes],
    terms: "Terms",
    tmpdir: Path | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
) -> Result:
    """Make a folder that installs airgap, BentoML and uv on a machine with Python and no index.

    The kit is a bundle, signed with --key. On the other side, `python3 DIR/install.py` verifies it
    with the fingerprint of the site's root, and makes a virtual environment.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.kit.make import KitRequest, make_kit, parse_packages

    running = ".".join(platform.python_version_tuple()[:2])
    request = KitRequest(
        folder,
        parse_packages([*pythons], targets, running, extras=extras, indexes=indexes, wheels=wheels),
        [load_signer(key, read_passphrase(passphrase_env, passphrase_fd))],
        terms,
        roots,
        jobs,
        tmpdir,
    )
    return _make_result(make_kit(request, make_progress()), request)


def _make_result(kit: "Kit", request: "KitRequest") -> Result:
    from airgap.flow.describe.bundle import describe_bundle
    from airgap.flow.disk_use import describe_peak
    from airgap.flow.location.location import LocalDepot

    exported = kit.exported
    data = describe_bundle(exported.bundle, exported.manifest)
    data |= {
        "output": str(request.folder),
        "bytes_written": exported.bytes_written,
        "disk_use": [describe_peak(peak) for peak in exported.peaks],
        "programs": dict(kit.programs),
        "signed_by": [signer.key.id for signer in request.signers],
    }
    manifest = exported.manifest
    install = f"python3 {shlex.quote(str(request.folder / 'install.py'))}"
    lines = [f"{item} ({size_text(item.size)})" for item in manifest.items]
    lines += [
        f"{size_text(manifest.stored_size)} in {count_text(len(manifest.packs), 'pack')}",
        *written_lines(exported.bytes_written, LocalDepot(request.folder)),
        f"bundle {exported.bundle}",
        f"install.py SHA256:{kit.installer}",
        "Write both on paper, with the fingerprint of the site's root.",
        f"On the other side: {install} --fingerprint SHA256:...",
    ]
    return Result(data, lines)
