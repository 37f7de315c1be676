"""``airgap export``: pack Bentos and their models into a signed bundle."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli import terminal
from airgap.cli.attachment_options import attachment_options
from airgap.cli.closure_options import closure_options
from airgap.cli.lines.contents import sealing_lines
from airgap.cli.lines.disk_use import peak_lines, written_lines
from airgap.cli.lines.labels import label_lines
from airgap.cli.media_options import (
    ManyValues,
    media_options,
    parity_lines,
    read_volume_options,
    volume_lines,
)
from airgap.cli.output import (
    Result,
    count_text,
    identity_option,
    jobs_option,
    key_options,
    licence_option,
    location_options,
    reports,
    require_key,
    reread_option,
    size_text,
    tmpdir_option,
)
from airgap.cli.passphrases import read_passphrase
from airgap.cli.receipt.options import recorder_option
from airgap.cli.room_option import read_room, room_option
from airgap.cli.sealing_options import make_seal_to, seal_to_options
from airgap.cli.terms_options import bundle_options
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.exporting.attachment_options import AttachmentOptions
    from airgap.flow.exporting.closure import Closure
    from airgap.flow.exporting.export import ExportPlan, ExportRequest
    from airgap.flow.exporting.terms import Terms
    from airgap.flow.exporting.write_bundle import ExportResult, Preset
    from airgap.flow.location.connector import Connector
    from airgap.format.want import Want


@click.command(name="export", cls=ManyValues)
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option(
    "--model", "models", multiple=True, metavar="NAME:VERSION", help="Also this BentoML model."
)
@click.option(
    "-o",
    "--output",
    metavar="DEST",
    help="A depot (folder, URL or @REMOTE), FILE.airgap, FILE.bento (or .tar.gz, .zip, …), - for"
    " standard output.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["bento", "tar", "tar.gz", "tar.xz", "tar.bz2", "zip", "folder"]),
    help="Write what plain `bentoml import` reads, with a signed manifest beside it.",
)
@click.option("--no-models", is_flag=True, help="Leave out the models that the Bentos name.")
@closure_options
@bundle_options
@click.option(
    "--emit-model-signature",
    is_flag=True,
    help="Also sign each model by itself, for OpenSSF `model_signing`. Needs an ECDSA key.",
)
@click.option(
    "--model-signature-key",
    metavar="KEY",
    help="Sign the models with this key; default: with --key.",
)
@recorder_option
@click.option(
    "--base",
    "bases",
    multiple=True,
    metavar="LOCATION",
    help="Leave out what this bundle, depot or manifest has, or with receipt:SITE what that site"
    " holds by its receipts: the other side has it; repeat it. --identity opens a sealed one.",
)
@identity_option
@click.option(
    "--for",
    "want",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Carry exactly what an import lacked: the FILE that `airgap import --want` wrote.",
)
@licence_option
@attachment_options
@click.option(
    "--compression",
    type=click.Choice(["none", "fast", "default", "small"]),
    default="default",
    show_default=True,
    help="How much time to give to size.",
)
@click.option(
    "--seal", is_flag=True, help="Encrypt the bundle to the recipients of the site's root."
)
@seal_to_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be written, and the peak disk use of each step; write nothing.",
)
@reread_option
@room_option
@tmpdir_option
@media_options
@partial(key_options, is_required=False)
@jobs_option
@reports
@click.pass_context
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    context: click.Context,
    *,
    tags: tuple[str, ...],
    models: tuple[str, ...],
    output: str | None,
    format_name: str | None,
    no_models: bool,
    closure: "Closure",
    terms: "Terms",
    roots: dict[str, bytes],
    bases: tuple[str, ...],
    identities: tuple[str, ...],
    want: Path | None,
    licence_policy: Path | None,
    attachments: "AttachmentOptions",
    compression: "Preset",
    emit_model_signature: bool,
    model_signature_key: str | None,
    seal: bool,
    recipients: tuple[str, ...],
    insecure_recipients: bool,
    recorder_key: str | None,
    dry_run: bool,
    reread: bool,
    room: str | None,
    tmpdir: Path | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
    connector: "Connector",
    volume_size: str | None,
    volumes: tuple[Path, ...],
    parity: int,
    verify_after_write: bool,
) -> Result:
    """Pack Bentos (TAG is name:version, name:latest or name) with every model they name.

    The bundle is signed with --key. Without --no-models, a model that cannot be found stops the
    export. With --base, only what changed is packed. --dry-run needs no key.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.exporting import export, naming
    from airgap.flow.exporting.bases import parse_bases
    from airgap.flow.exporting.select import require_items
    from airgap.flow.exporting.want import read_want
    from airgap.format.kinds import BENTO, MODEL

    wanted = read_want(want) if want else None
    if wanted and not (tags or models or closure):
        _ask_for_items(str(want), wanted)
    media = read_volume_options(output, volume_size, volumes, parity, read_back=verify_after_write)
    if output == "-" and context.params.get("as_json"):
        raise UsageError("-o - and --json both want standard output.", "Give -o FILE.airgap.")
    key = None if dry_run else require_key(key)
    new = naming.NewFile(tags, models, format_name)
    target = naming.parse_target(output, new) if output else None
    require_items({BENTO.name: tags, MODEL.name: models})
    ask = read_passphrase(passphrase_env, passphrase_fd)
    signer = load_signer(key, ask) if key else None
    sign_models = not dry_run and model_signature_key
    model_signer = load_signer(sign_models, ask) if sign_models else None
    request = export.ExportRequest(
        tags,
        models,
        target,
        [signer] if signer else [],
        terms,
        closure=closure,
        with_models=not no_models,
        bases=parse_bases(bases),
        identities=identities if bases else (),
        want=wanted,
        licence_policy=licence_policy,
        roots=roots,
        model_signer=model_signer or (signer if emit_model_signature else None),
        seal_to=make_seal_to(recipients, insecure=insecure_recipients)
        if seal or recipients
        else None,
        attachments=attachments,
        recorder=load_signer(recorder_key, ask) if recorder_key and not dry_run else None,
        compression=compression,
        media=media,
        jobs=jobs,
        credentials=connector.credentials,
        transfer=replace(
            connector.transfer,
            spool=tmpdir,
            verify_after_write=verify_after_write,
            reread=reread,
            room=read_room(room, target),
        ),
    )
    if dry_run:
        return _make_plan(export.plan_export(request, connector.progress), request)
    return _make_result(export.export(request, connector.progress), request)


def _ask_for_items(path: str, want: "Want") -> None:
    """Ask whether the items of a want may leave: it comes from another network, and is not signed.

    Raises:
        UsageError: there is no terminal to ask on.
        click.Abort: the answer is no.
    """
    shown = ", ".join(want.tags)
    if not terminal.can_ask():
        raise UsageError(
            f"{path} asks for {shown}, and the command names none of it.",
            "A want is not signed: name what may leave, by TAG or --model TAG.",
        )
    terminal.print_line(f"{path} asks for:", err=True)
    for tag in want.tags:
        terminal.print_line(terminal.indent_line(tag), err=True)
    terminal.confirm("Export what it asks for?")


def _make_plan(plan: "ExportPlan", request: "ExportRequest") -> Result:
    """Say what would be written, and what that needs on each file system."""
    from airgap.flow.describe.bundle import describe_item
    from airgap.flow.disk_use import describe_peak

    forecast, peaks = plan.foreseen.forecast, plan.foreseen.peaks
    data: dict[str, Any] = {
        "dry_run": True,
        "items": [describe_item(item) | {"digest": None} for item in plan.items],
        "size": sum(item.size for item in plan.items),
        "output": str(request.destination or ""),
        "disk_use": [describe_peak(peak) for peak in peaks],
    }
    lines = [f"{item} ({size_text(item.size)})" for item in plan.items]
    if forecast:
        data |= {"stored_size": forecast.size, "estimated": not forecast.is_exact}
        about = "" if forecast.is_exact else "about "
        there = forecast.size - sum(pack.size for pack in forecast.new)
        stored = f"{size_text(data['size'])} in {about}{size_text(forecast.size)}"
        lines.append(f"{stored}, {size_text(there)} of it in the depot" if there else stored)
    return Result(data, [*lines, *peak_lines(peaks), "Nothing was written."])


def _make_result(done: "ExportResult", request: "ExportRequest") -> Result:
    from airgap.flow.describe.bundle import describe_bundle, describe_sealing
    from airgap.flow.disk_use import describe_peak
    from airgap.flow.location.location import ArchiveFile, RemoteArchive, StandardInput
    from airgap.flow.location.writers import measure_attachment_room

    data = describe_bundle(done.bundle, done.manifest)
    if done.index:
        data |= describe_sealing(done.index.bundle, done.index.manifest, inner=done.bundle)
    data |= {
        "output": done.path or str(request.destination or ""),
        "packs_written": done.packs_written,
        "packs_there": done.packs_there,
        "bytes_written": done.bytes_written,
        "signed_by": [signer.key.id for signer in request.signers],
        "volumes": list(done.volumes),
        "volume_sizes": list(done.volume_sizes),
        "survives_loss_of_a_volume": done.survives,
        "dry_run": False,
        "disk_use": [describe_peak(peak) for peak in done.peaks],
    }
    if isinstance(request.destination, StandardInput):
        return Result(data)
    lines = [f"{item} ({size_text(item.size)})" for item in done.manifest.items]
    lines += _stock_lines(done, data) if done.path else _pack_lines(done)
    sizes = zip(done.volume_sizes, done.volumes_written, strict=True)
    lines += volume_lines(done.volumes, sizes if request.media.folders else ()) + _parity_lines(
        done, request.media.percent
    )
    if request.want and done.manifest.carried < len(request.want.chunks):
        wanted = len(request.want.chunks)
        absent = wanted - done.manifest.carried
        lines.append(f"not in it: {absent:,} of the {count_text(wanted, 'chunk')} asked for")
    lines += _terms_lines(done, data)
    if isinstance(request.destination, ArchiveFile | RemoteArchive):
        left = size_text(measure_attachment_room(request.transfer))
        lines.append(f"room for later signatures and attachments: {left} (--room makes more)")
    lines += written_lines(done.bytes_written, request.destination)
    if done.index:
        lines += sealing_lines(data["sealed"])
    return Result(data, [*lines, f"bundle {done.published.bundle}", *_next_lines(done, request)])


def _next_lines(done: "ExportResult", request: "ExportRequest") -> list[str]:
    """Say what is done with the bundle on the other side; the first one needs trust there."""
    if done.volumes:
        return ["On the other side, with each volume: airgap import VOLUME"]
    location = done.path or str(request.destination)
    lines = [f"On the other side: airgap import {location}"]
    if request.roots and done.manifest.sequence <= 1:
        lines.append(f"The first time, before that: airgap trust init {location}")
    return lines


def _parity_lines(done: "ExportResult", percent: int) -> list[str]:
    from airgap.flow.media.parity import draft_groups

    packs = done.manifest.packs
    parity = sum(rows for _, rows in draft_groups(packs, percent))
    return parity_lines(len(packs), parity, percent, survives=done.survives)


def _terms_lines(done: "ExportResult", data: dict[str, Any]) -> list[str]:
    """Say where the bundle is in its channel, for whom it is and how long."""
    manifest = done.manifest
    lines = [f"channel {manifest.channel}, number {manifest.sequence}"]
    if manifest.completes is not None:
        lines = [f"completes bundle {manifest.completes.hex()}: import both together"]
    elif not manifest.sequence:
        lines = [
            f"channel {manifest.channel}, no number: an older one looks the same; give --channel"
        ]
    lines += label_lines(manifest.labels)
    if manifest.audience:
        lines.append(f"only for {', '.join(manifest.audience)}")
    if manifest.expires_at is not None:
        lines.append(f"expires {data['expires_at']}")
    return lines


def _pack_lines(done: "ExportResult") -> list[str]:
    stored, plain = done.manifest.stored_size, done.manifest.size
    packs = f"{count_text(done.packs_written, 'pack')} written, {done.packs_there:,} already there"
    lines = [f"{size_text(plain)} in {size_text(stored)}: {packs}"]
    needed = len(done.manifest.chunks) - done.manifest.carried
    if needed:
        lines.append(f"builds on {count_text(needed, 'chunk')} that the other side must have")
    return lines


def _stock_lines(done: "ExportResult", data: dict[str, Any]) -> list[str]:
    """Say what is there, and what stock BentoML will not load of it."""
    left_out = [str(item) for item in done.manifest.items if item.rules.stock == "by digest"]
    data["not_loadable_by_stock_import"] = left_out
    lines = [
        f"plain `bentoml import` does not install {item}; `airgap import` does" for item in left_out
    ]
    return [*lines, f"{done.path}, and beside it {Path(done.path).name}.airgap-manifest"]
