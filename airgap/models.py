"""Models, as ``bentoml.models`` has them; see ``airgap.api.models``."""

import importlib
from typing import TYPE_CHECKING, Any, Final

from airgap.api.models import delete, export_model, get, import_model, list, pull, push

if TYPE_CHECKING:
    from bentoml.models import BentoModel as BentoModel
    from bentoml.models import HuggingFaceModel as HuggingFaceModel
    from bentoml.models import ModelContext as ModelContext
    from bentoml.models import ModelOptions as ModelOptions
    from bentoml.models import create as create

__all__ = ["delete", "export_model", "get", "import_model", "list", "pull", "push"]

_PASSED_ON: Final = ("BentoModel", "HuggingFaceModel", "ModelContext", "ModelOptions", "create")


if not TYPE_CHECKING:  # a type checker knows the names, and sees the ones that are wrong

    def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module may hold anything)
        if name in _PASSED_ON:
            return getattr(importlib.import_module("bentoml.models"), name)
        raise AttributeError(f"module 'airgap.models' has no attribute {name!r}")
