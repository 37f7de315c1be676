"""What a wheel has beside the package: the documents, and on demand the site and manual pages.

The pages in Markdown are in every wheel. ``AIRGAP_WHEEL_DOCUMENTS=FOLDER`` adds what ``make
docs-site`` and ``make man`` have written there, so that a plain build needs neither.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DocumentsHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling is not installed here
    """Adds the documents to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; an editable installation reads those of the clone."""
        if version == "editable":
            return
        pages = sorted(Path(self.root, "docs").glob("*.md"))
        files = {str(page): f"airgap/documents/{page.name}" for page in pages}
        folder = os.environ.get("AIRGAP_WHEEL_DOCUMENTS")
        if folder:
            built = Path(self.root, folder)
            for name in ("site", "man"):
                if not (built / name).is_dir():
                    raise FileNotFoundError(f"{built / name}: run `make docs-site man` first.")
            site = sorted(path for path in (built / "site").rglob("*") if path.is_file())
            files |= {
                str(path): f"airgap/documents/site/{path.relative_to(built / 'site').as_posix()}"
                for path in site
            }
            manual = sorted((built / "man").iterdir())
            shared = {str(path): f"share/man/man1/{path.name}" for path in manual}
            build_data["shared_data"] |= shared
        build_data["force_include"] |= files
