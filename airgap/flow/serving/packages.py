"""The wheels that a mirror serves: those of all wheelhouses that are served (format §26)."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from threading import Lock
from typing import Final

from airgap.bom.wheel_metadata import TAIL_BYTES, extract_metadata
from airgap.flow.serving.content import ServedContent
from airgap.flow.serving.index import ItemRow
from airgap.flow.serving.mirror import Mirror
from airgap.format.inventory import File
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import TOOLS, WHEELS, normalize_name

__all__ = ["ServedWheel", "ServedWheels"]

_METADATA_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class ServedWheel:
    """A wheel in a wheelhouse. ``name`` is that of its file."""

    row: ItemRow
    file: File

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.file.path.rpartition("/")[2]

    @property
    def project(self) -> str:
        """The normalized name of its package."""
        return normalize_name(self.name.split("-")[0])

    @property
    def version(self) -> str:
        """The version of its package, as the name of its file has it."""
        return self.name.split("-")[1]


class ServedWheels:
    """The wheels of a mirror. Threads may ask at once."""

    def __init__(self, mirror: Mirror) -> None:
        """Read nothing yet."""
        self.mirror = mirror
        self._lock = Lock()
        self._rows: list[ItemRow] = []
        self._projects: Mapping[str, list[ServedWheel]] = {}
        self._metadata: OrderedDict[bytes, bytes | None] = OrderedDict()

    def list_projects(self) -> Mapping[str, list[ServedWheel]]:
        """Return the wheels of each package, by its normalized name.

        Where two wheelhouses have files of one name that differ, the newer one's is served.

        Raises:
            MissingError: nothing is served at present.
        """
        rows = self.mirror.list_items(WHEELHOUSE.name)
        with self._lock:
            if rows == self._rows:
                return self._projects
        wheels: dict[str, ServedWheel] = {}
        for row in rows:
            for file in self.mirror.open_item(row)[1].files:
                if file.path.startswith((WHEELS, TOOLS)) and file.path.endswith(".whl"):
                    wheel = ServedWheel(row, file)
                    wheels.setdefault(wheel.name, wheel)
        projects: dict[str, list[ServedWheel]] = {}
        for name in sorted(wheels):
            projects.setdefault(wheels[name].project, []).append(wheels[name])
        with self._lock:
            self._rows, self._projects = rows, projects
        return projects

    def find(self, name: str, digest: str) -> ServedWheel | None:
        """Return the wheel whose file has this name and this SHA-256 (hex); None if none has."""
        wheels = self.list_projects().get(normalize_name(name.split("-", maxsplit=1)[0]), [])
        return next(
            (one for one in wheels if one.name == name and one.file.digest.hex() == digest), None
        )

    def open(self, wheel: ServedWheel) -> ServedContent | None:
        """Open a wheel; raises as ``Mirror.open_item``."""
        return self.mirror.open_file(wheel.row, wheel.file.path)

    def read_metadata(self, wheel: ServedWheel) -> bytes | None:
        """Return the METADATA of a wheel; None if it is not where wheels have it.

        Raises:
            AirgapError: it cannot be read; see ``Mirror.read``.
        """
        digest = wheel.file.digest
        with self._lock:
            if digest in self._metadata:
                return self._metadata[digest]
        content = self.open(wheel)
        metadata = None if content is None else self._extract(content)
        with self._lock:
            self._metadata[digest] = metadata
            if len(self._metadata) > _METADATA_KEPT:
                self._metadata.popitem(last=False)
        return metadata

    def read_python(self, wheel: ServedWheel) -> str:
        """Return ``Requires-Python`` of a wheel, or an empty text; raises as ``read_metadata``."""
        headers = BytesHeaderParser().parsebytes(self.read_metadata(wheel) or b"")
        return str(headers.get("Requires-Python", ""))

    def _extract(self, content: ServedContent) -> bytes | None:
        start = max(content.length - TAIL_BYTES, 0)
        tail = b"".join(self.mirror.read(content, start, content.length))
        try:
            return extract_metadata(tail, content.length)
        except ValueError:
            return None
