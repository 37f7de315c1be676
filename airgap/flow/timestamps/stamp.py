"""Stamps an authority's word about the time onto signatures, indexes and checkpoints (format §33).

A response is kept only if it is for this request and, where an authority is known, by it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import (
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    UsageError,
)
from airgap.flow.bundle.open_to_sign import load_known_root
from airgap.flow.location.https_way import HttpsWay
from airgap.flow.progress import Progress
from airgap.flow.site import make_permit
from airgap.flow.timestamps.stampable import Stampable
from airgap.format import limits
from airgap.format.root import Root
from airgap.format.site_rules import TimestampAuthority
from airgap.format.stamp_files import StampedFile, certificate_file, is_index_file
from airgap.printable import quote
from airgap.signing import time_stamps
from airgap.signing.time_stamps import Imprint, Stamp, StampRequest
from airgap.transport.secrets import read_secret_variable
from airgap.transport.stamp_server import StampServer, parse_server, request_stamp

__all__ = [
    "AddedStamp",
    "ServerOptions",
    "StampOptions",
    "add_certificates",
    "add_responses",
    "choose_targets",
    "list_authorities",
    "make_server",
    "note_unchecked",
    "stamp_online",
    "write_requests",
]

_REQUEST: Final = ".tsq"
_RESPONSE: Final = ".tsr"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Which server issues time stamps, and the way to it."""

    url: str
    ca_file: Path | None = None
    way: HttpsWay = field(default_factory=HttpsWay)


@dataclass(frozen=True, slots=True)
class StampOptions:
    """What is stamped, and how.

    Without ``renew`` it is what has no stamp yet; with it, what has one: of these, those whose last
    certificate ends within ``before`` seconds, or all. ``files`` are names; empty: all.
    """

    renew: bool = False
    before: int | None = None
    hash: Imprint = "sha256"
    files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class AddedStamp:
    """A stamp that was added, and whether it is known to count for an authority."""

    file: str
    over: str
    stamp: Stamp
    is_checked: bool


def choose_targets(stampable: Stampable, options: StampOptions) -> list[StampedFile]:
    """Return what is to be stamped.

    Raises:
        MissingError: a file is not there, or there is nothing that can be stamped.
        ConflictError: a chain is at its end, or a stamp of it is missing.
        CorruptError: the last stamp of a chain cannot be read.
    """
    stamped = stampable.find_stamped()
    unknown = sorted(set(options.files) - {one.file for one in stamped})
    if unknown or not stamped:
        names = ", ".join(one.file for one in stamped) or "no signature"
        what = quote(unknown[0]) if unknown else "nothing that can be stamped"
        raise MissingError(f"{stampable.location} has {what}.", f"It has {names}.")
    targets = [
        one
        for one in stamped
        if (not options.files or one.file in options.files) and _is_due(one, options)
    ]
    for one in targets:
        _refuse_end(stampable, one)
    return targets


def _is_due(stamped: StampedFile, options: StampOptions) -> bool:
    if not options.renew:
        return not stamped.chain
    if not stamped.chain:
        return False
    if options.before is None:
        return True
    file, raw = stamped.chain[-1]
    expires = time_stamps.decode_stamp(raw, file).expires
    return expires is None or expires - time.time() < options.before


def _refuse_end(stampable: Stampable, stamped: StampedFile) -> None:
    if stamped.is_broken:
        raise ConflictError(
            f"{stampable.location} lacks {stamped.next_file}, and has later stamps.",
            "Copy the missing one from another copy of the bundle: a new one would not fit them.",
        )
    data = stamped.data
    for file, raw in stamped.chain:
        if not time_stamps.decode_stamp(raw, file).fits(data):
            raise ConflictError(
                f"{file} of {stampable.location} is not over the file before it.",
                "Copy the stamps from another copy of the bundle: another one would prove nothing.",
            )
        data = raw
    if len(stamped.chain) >= limits.STAMPS:
        raise ConflictError(
            f"{stampable.location} has the most stamps of {stamped.file}: {limits.STAMPS}.",
            "Leave out this file: choose others with --file NAME.",
        )


def make_server(options: ServerOptions) -> StampServer:
    """Return the server that options name.

    Raises:
        UsageError: it is not a URL.
        PolicyError: the site's root does not let this machine choose whom it trusts.
        ConfigurationError: the client's certificate or a variable is missing.
    """
    url = parse_server(options.url)
    if options.ca_file and (permit := make_permit()):
        permit("ca", "--ca")
    password = read_secret_variable("--proxy-password-env", options.way.proxy_password_env)
    client = options.way.make_client()
    return StampServer(url, options.ca_file, client, options.way.proxy, password)


def stamp_online(
    stampable: Stampable,
    targets: Sequence[StampedFile],
    server: StampServer,
    options: StampOptions,
    ask: Callable[[StampServer, bytes], bytes] = request_stamp,
) -> list[AddedStamp]:
    """Have a server stamp each target, and keep the stamps.

    Raises:
        TransportError: the server cannot be reached, or does not answer as one.
        CorruptError, NotTrustedError: its answer is not kept; see ``add_responses``.
        AirgapError: a stamp cannot be written.
    """
    added = []
    for target in targets:
        request = time_stamps.make_request(target.last, _choose_hash(target, options))
        response = ask(server, request.raw)
        added.append(_keep(stampable, target, request, response, server.url))
    return added


def write_requests(targets: Sequence[StampedFile], path: Path, options: StampOptions) -> list[Path]:
    """Write a request for each target: into a file, or into a folder that exists.

    Raises:
        UsageError: there are several, and no folder.
        StorageError: they cannot be written.
    """
    written = []
    for target in targets:
        request = time_stamps.make_request(target.last, _choose_hash(target, options))
        file = _name_file(path, target, _REQUEST, len(targets))
        with translate_errors(file):
            durable.replace_file(file, request.raw)
        written.append(file)
    return written


def add_responses(
    stampable: Stampable, targets: Sequence[StampedFile], requests: Path, responses: Path
) -> list[AddedStamp]:
    """Keep what an authority answered to requests that were carried to it.

    Raises:
        CorruptError: a response is not for its request, or not over what is stamped.
        NotTrustedError: it is not by an authority that this machine knows.
        UsageError, StorageError: as ``write_requests``.
    """
    added = []
    for target in targets:
        request_path = _name_file(requests, target, _REQUEST, len(targets))
        response_path = _name_file(responses, target, _RESPONSE, len(targets))
        raw = _read(request_path, limits.TIME_STAMP_BYTES)
        request = time_stamps.read_request(raw, str(request_path))
        response = _read(response_path, limits.TIME_STAMP_BYTES)
        added.append(_keep(stampable, target, request, response, str(response_path)))
    return added


def add_certificates(stampable: Stampable, paths: Sequence[Path]) -> list[str]:
    """Put certificates of authorities there; return the files' names.

    Raises:
        CorruptError: one is not a certificate.
        AirgapError: one cannot be read or written.
    """
    files = []
    for path in paths:
        digest, pem = time_stamps.encode_certificate(
            _read(path, limits.CERTIFICATE_BYTES), str(path)
        )
        stampable.add(certificate_file(digest), pem)
        files.append(certificate_file(digest))
    return files


def _choose_hash(target: StampedFile, options: StampOptions) -> Imprint:
    """Return the hash for a stamp: SHA-512 over an index, whatever was asked for."""
    return "sha512" if is_index_file(target.file) else options.hash


def _name_file(path: Path, target: StampedFile, suffix: str, count: int) -> Path:
    if path.is_dir():
        return path / f"{target.next_file.removesuffix(_RESPONSE)}{suffix}"
    if count > 1:
        raise UsageError(
            f"{count} files are to be stamped, and {path} is not a folder.",
            "Give a folder, which gets a file for each; or choose one with --file NAME.",
        )
    return path


def _read(path: Path, limit: int) -> bytes:
    with translate_errors(path):
        return read_small(path, limit)


def _keep(
    stampable: Stampable, target: StampedFile, request: StampRequest, response: bytes, name: str
) -> AddedStamp:
    """Keep a response that is for a request.

    Raises:
        CorruptError, NotTrustedError: it is not kept.
    """
    stamp = time_stamps.decode_stamp(response, f"The answer of {name}")
    if stamp.imprint != request.imprint or not stamp.fits(target.last):
        raise CorruptError(
            f"The answer of {name} is over other bytes than {target.file} of {stampable.location}.",
            "Give the response to this request.",
        )
    if request.nonce is None or stamp.nonce != request.nonce:
        raise CorruptError(
            f"The answer of {name} is to another request: its nonce differs.",
            "Ask the authority again; an old answer may have been played back.",
        )
    is_checked = _check_authority(stampable, target, stamp, name)
    stampable.add(target.next_file, response)
    stampable.record(target.next_file, response)
    return AddedStamp(target.next_file, target.file, stamp, is_checked)


def _check_authority(stampable: Stampable, target: StampedFile, stamp: Stamp, name: str) -> bool:
    """Demand a known authority, by the root or by the certificates; tell whether there is one.

    Raises:
        NotTrustedError: it is by another.
    """
    certificates = stampable.list_certificates()
    rules = list_authorities(load_known_root()) or [
        TimestampAuthority(digest) for digest, _ in certificates
    ]
    known = time_stamps.gather_authorities(rules, certificates)
    if not known.certificates:
        return False
    verdict = known.judge(stamp, target.last, int(time.time()))
    if isinstance(verdict, str):
        raise NotTrustedError(
            f"The answer of {name} is not kept: {verdict}.",
            "Ask the authority that the root names, or give its certificate with --certificate.",
        )
    return True


def list_authorities(root: Root | None) -> list[TimestampAuthority]:
    """Return the authorities of a root; none without one."""
    return list(root.rules.timestamp_authorities) if root else []


def note_unchecked(added: Sequence[AddedStamp], progress: Progress) -> None:
    """Say that nothing here could tell whose the stamps are."""
    if any(not one.is_checked for one in added):
        progress.note(
            "Whose time stamps these are was not checked: give the authority's self-signed"
            " certificate with --certificate."
        )
