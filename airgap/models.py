"""Models, as ``bentoml.models`` has them; see ``airgap.api.models``."""

from airgap.api.models import delete, export_model, get, import_model, list, pull, push  # noqa: A004  (BentoML's names)

__all__ = ["delete", "export_model", "get", "import_model", "list", "pull", "push"]
