"""The signatures that imports counted: who signed what was installed (format §17.9)."""

from contextlib import suppress
from pathlib import Path

from airgap.disk import durable, sharing
from airgap.disk.reading import read_if_exists
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.counted_files import decode_counted, encode_counted
from airgap.state.state_folder import state_folder

__all__ = ["load_counted", "save_counted"]


def save_counted(bundle: str, files: dict[str, bytes]) -> None:
    """Keep the files that an import of a bundle counted, with those of earlier imports of it.

    Raises:
        OSError: the disk refused.
    """
    kept = load_counted(bundle)
    combined = {**kept, **files}
    raw = encode_counted(combined)
    if len(raw) > limits.COUNTED_BYTES or len(combined) > limits.COUNTED_FILES:
        combined, raw = files, encode_counted(files)
    if combined == kept or len(raw) > limits.COUNTED_BYTES:
        return
    folder = _folder()
    sharing.make_own_folder(folder)
    durable.replace_file(folder / bundle, raw, mode=sharing.choose_file_mode(folder))


def load_counted(bundle: str) -> dict[str, bytes]:
    """Return what was kept of a bundle, by file name; nothing if it is not there, or damaged."""
    with suppress(CorruptError, OSError):
        raw = read_if_exists(_folder() / bundle, limits.COUNTED_BYTES)
        return {} if raw is None else decode_counted(raw)
    return {}


def _folder() -> Path:
    return state_folder() / "counted"
