"""Where this machine keeps receipts of a site that it has accepted, and what it has seen (§29).

receipts/<site>/accepted/<ledger>.<size>.<number>.<bundle>.<result>.<digest>.receipt.json
receipts/<site>/notes/<bundle>.<size>.<result>.note
receipts/<site>/witnessed/<ledger>.checkpoint.json
receipts/<site>/evidence/<digest>/…     two documents that cannot both be of one ledger
receipts/<site>/ledgers.json            the origins that a person knows
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import durable, sharing
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists, read_small
from airgap.errors import StorageError
from airgap.format import limits, names
from airgap.state.state_folder import state_folder

__all__ = ["KeptReceipt", "ReceiptStore", "list_sites"]

_ACCEPTED: Final = "accepted"
_LEDGERS: Final = "ledgers.json"
_LEDGERS_BYTES: Final = 64 * 1024
_ID_DIGITS: Final = 16
_LEDGER: Final = re.compile(r"[0-9a-f]{16}")
_FILE: Final = re.compile(
    r"(?P<ledger>[0-9a-f]{16})\.(?P<size>[0-9]{16})\.(?P<number>[0-9]{1,16})"
    r"\.(?P<bundle>[0-9a-f]{64})\.(?P<result>passed|failed)\.(?P<digest>[0-9a-f]{16})"
    r"\.receipt\.json"
)
_NOTE: Final = re.compile(
    r"(?P<bundle>[0-9a-f]{16})\.(?P<size>[0-9]{1,16})\.(?P<result>passed|failed)\.note"
)


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """An accepted receipt, by its file name: it has not been read."""

    path: Path
    ledger: str
    """The last 16 digits of its ledger's origin."""
    size: int
    number: int
    """Of the entry that it is about, from 1 on."""
    bundle: str
    passed: bool
    at: int
    """When it was accepted, in seconds since 1970."""


def list_sites() -> list[str]:
    """Return the sites of which this machine has accepted receipts."""
    with suppress(OSError):
        folders = sorted((state_folder() / "receipts").iterdir())
        return [folder.name for folder in folders if names.is_tag_part(folder.name)]
    return []


class ReceiptStore:
    """The receipts of one site. Methods raise StorageError if the disk refuses."""

    def __init__(self, site: str) -> None:
        """Name the folder; nothing is read yet."""
        self.folder = state_folder() / "receipts" / site

    def list_accepted(self) -> list[KeptReceipt]:
        """Return the accepted receipts, by ledger and by the size of the ledger then."""
        folder, kept = self.folder / _ACCEPTED, []
        with translate_errors(folder):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                match = _FILE.fullmatch(path.name)
                if match:
                    kept.append(
                        KeptReceipt(
                            path,
                            match["ledger"],
                            int(match["size"]),
                            int(match["number"]),
                            match["bundle"],
                            match["result"] == "passed",
                            int(path.lstat().st_mtime),
                        )
                    )
        return kept

    def read(self, kept: KeptReceipt) -> bytes:
        """Return the file of an accepted receipt."""
        with translate_errors(kept.path):
            return read_small(kept.path, limits.RECEIPT_FILE_BYTES, os.O_NOFOLLOW)

    def locate(  # noqa: PLR0913  (what its name says)
        self, ledger: str, size: int, number: int, bundle: str, raw: bytes, *, passed: bool
    ) -> Path:
        """Return the file that a receipt has once it is accepted."""
        _require_digits(ledger)
        result = "passed" if passed else "failed"
        digest = hashlib.sha256(raw).hexdigest()[:_ID_DIGITS]
        name = f"{ledger}.{size:016}.{number}.{bundle}.{result}.{digest}.receipt.json"
        return self.folder / _ACCEPTED / name

    def write(self, path: Path, data: bytes) -> None:
        """Write a file in this folder, whole or not at all."""
        with translate_errors(path):
            sharing.make_own_folder(path.parent)
            durable.replace_file(path, data, mode=sharing.choose_file_mode(path.parent))

    def keep_evidence(self, files: Mapping[str, bytes]) -> Path:
        """Keep documents that contradict each other; return their folder."""
        digest = hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()
        folder = self.folder / "evidence" / digest[:_ID_DIGITS]
        for name, data in files.items():
            self.write(folder / name, data)
        return folder

    def list_evidence(self) -> list[Path]:
        """Return the folders of documents that contradict each other."""
        folder = self.folder / "evidence"
        with translate_errors(folder):
            return sorted(folder.iterdir()) if folder.is_dir() else []

    def list_ledgers(self) -> dict[str, bool]:
        """Return the origins that are known, and whether each is in use; the last one is newest."""
        path = self.folder / _LEDGERS
        with translate_errors(path):
            raw = read_if_exists(path, _LEDGERS_BYTES)
        try:
            ledgers = json.loads(raw or b"{}")
        except ValueError:
            ledgers = None
        if not isinstance(ledgers, dict) or not all(
            isinstance(in_use, bool) for in_use in ledgers.values()
        ):
            raise StorageError(
                f"{path} is damaged.", "Restore it from a copy, or accept the receipts again."
            )
        return ledgers

    def write_ledgers(self, ledgers: Mapping[str, bool]) -> None:
        """Remember the origins that are known."""
        self.write(self.folder / _LEDGERS, json.dumps(dict(ledgers)).encode() + b"\n")

    def write_note(self, bundle: str, size: int, text: str, *, passed: bool) -> Path:
        """Keep a note that somebody read out; return its file."""
        result = "passed" if passed else "failed"
        path = self.folder / "notes" / f"{bundle}.{size}.{result}.note"
        self.write(path, text.encode())
        return path

    def list_notes(self) -> list[tuple[str, int, bool]]:
        """Return the notes: 16 digits of a bundle id, the size of the ledger, whether it passed."""
        folder = self.folder / "notes"
        with translate_errors(folder):
            matches = [
                match
                for path in sorted(folder.iterdir() if folder.is_dir() else ())
                if (match := _NOTE.fullmatch(path.name))
            ]
        return [
            (match["bundle"], int(match["size"]), match["result"] == "passed") for match in matches
        ]

    def read_witnessed(self) -> list[bytes]:
        """Return the last checkpoint of each ledger of a sender that was seen, as it came."""
        folder = self.folder / "witnessed"
        with translate_errors(folder):
            files = sorted(folder.glob("*.checkpoint.json"))[: limits.WITNESSED]
            return [read_small(path, limits.TREE_PROOF_BYTES, os.O_NOFOLLOW) for path in files]

    def write_witnessed(self, ledger: str, raw: bytes) -> None:
        """Remember the last checkpoint of a sender's ledger."""
        _require_digits(ledger)
        self.write(self.folder / "witnessed" / f"{ledger}.checkpoint.json", raw)


def _require_digits(ledger: str) -> None:
    """Make sure that the digits of an origin can be a file's name, however it was verified."""
    if not _LEDGER.fullmatch(ledger):
        raise ValueError(f"not the last digits of an origin: {ledger!r}")
