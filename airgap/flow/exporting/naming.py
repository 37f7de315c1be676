"""How a file that an export makes is named, as stock BentoML does. For the faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from airgap.carrier.stock.form import Form, form_of_name
from airgap.errors import UsageError
from airgap.flow.exporting.stock_archive import FORMATS
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import (
    Location,
    is_remote_text,
    parse_depot,
    parse_location,
)
from airgap.format import layout
from airgap.store.kinds import find_kind
from airgap.transport import url as urls

__all__ = ["FORMAT_NAMES", "NewFile", "parse_target"]

_OWN_FORMATS: Final = ("airgap", "depot")
FORMAT_NAMES: Final = (*_OWN_FORMATS, *FORMATS)
_OWN_SUFFIXES: Final = (".bento", ".bentomodel")


@dataclass(frozen=True, slots=True)
class NewFile:
    """What is exported, as far as a file is named after it."""

    bentos: Sequence[str]
    models: Sequence[str]
    format_name: str | None = None
    """One of ``FORMAT_NAMES``; None lets the destination's name decide."""
    default: str | None = None
    """The format where neither it nor a name tells one; None: a depot or a ``.airgap`` file."""
    exact_name: bool = False
    """Whether a name is kept although it does not tell the format."""

    @property
    def own_suffix(self) -> str:
        """What BentoML calls its own archives of this kind."""
        return "bento" if self.bentos else "bentomodel"

    def find_stem(self) -> str:
        """Return ``<name>-<version>`` of the one Bento or model.

        Raises:
            MissingError: it is not in the store.
            UsageError: there are several.
        """
        kind = find_kind("bento" if self.bentos else "model")
        tags = self.bentos or self.models
        if len(tags) != 1:
            raise UsageError(
                f"This format holds one Bento, or one model, and {len(tags)} were asked for.",
                "Export them one by one, or into a depot or a .airgap file.",
            )
        return "-".join(kind.find(tags[0]))


def parse_target(text: str, new: NewFile) -> Location:
    """Turn the destination that a person typed into a location; complete the name of a file.

    A folder that is there, or a name that ends in ``/``, gets ``<name>-<version>.<format>``. A name
    whose extension would make stock BentoML guess another form gets one more.

    Raises:
        UsageError: there is no such format; or as ``parse_location``.
        MissingError: what the file is named after is not in the store, or the folder above what
            was typed does not exist.
    """
    if text == "-" and new.format_name in FORMATS:
        raise UsageError(
            "An archive for stock BentoML cannot go to standard output: its manifest lies beside"
            " it.",
            "Give -o FILE, or leave out --format.",
        )
    written, rest = _split_url(text)
    if not (text == "-" or is_remote_text(text)):
        require_folder_above(_find_path(written))
    name = new.format_name or _format_of_name(written) or new.default
    if name is None:
        return parse_location(text, to_write=True)
    if name == "depot":
        return parse_depot(text)
    if name == "airgap":
        return parse_location(_complete(written, new, name, None) + rest, to_write=True)
    if name not in FORMATS:
        raise UsageError(
            f"There is no format {name!r}.", f"Choose one of {', '.join(FORMAT_NAMES)}."
        )
    name = new.own_suffix if name in ("bento", "bentomodel") else name
    form = FORMATS[name]
    completed = written if form == "folder" else _complete(written, new, name, form)
    return parse_location(completed + rest, form=form, to_write=True)


def _format_of_name(written: str) -> str | None:
    """Return the format that a new file's name asks for, or None: a depot or a ``.airgap`` file."""
    if _is_folder(written):
        return None
    return "bento" if Path(written).suffix in _OWN_SUFFIXES else form_of_name(Path(written).name)


def _complete(written: str, new: NewFile, name: str, form: Form | None) -> str:
    if _is_folder(written):
        file = f"{new.find_stem()}.{name}"
        return f"{written.rstrip('/')}/{quote(file) if urls.is_url(written) else file}"
    path = Path(written)
    if form is None:
        fits = layout.is_archive_name(path.name)
    else:
        is_own = path.suffix == f".{new.own_suffix}"
        fits = form_of_name(path.name) == form and is_own == (name == new.own_suffix)
        fits = fits or new.exact_name
    return written if fits else f"{written}.{name}"


def _is_folder(written: str) -> bool:
    if written.endswith("/"):
        return True
    if is_remote_text(written):
        return False
    return _find_path(written).is_dir()


def _find_path(written: str) -> Path:
    """Return the path that a local text names."""
    return Path(urls.parse(written).path if urls.is_url(written) else written)


def _split_url(text: str) -> tuple[str, str]:
    """Split a URL or ``@REMOTE`` before its options and its bundle."""
    if not (is_remote_text(text) or urls.is_url(text)):
        return text, ""
    ends = [at for at in map(text.find, "?#") if at >= 0]
    end = min(ends, default=len(text))
    return text[:end], text[end:]
