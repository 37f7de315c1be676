"""Bentos, as ``bentoml.bentos`` has them; see ``airgap.api.bentos``."""

from airgap.api.bentos import delete, export_bento, get, import_bento, list, pull, push  # noqa: A004  (BentoML's names)

__all__ = ["delete", "export_bento", "get", "import_bento", "list", "pull", "push"]
