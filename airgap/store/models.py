"""Models of BentoML's model store."""

from airgap.format.kinds import MODEL
from airgap.store.bentoml_home import BentoMLKind
from airgap.store.bentoml_yaml import parse_description
from airgap.store.item_kind import Description

__all__ = ["Models"]


class Models(BentoMLKind):
    """Models, in ``models/``."""

    rules = MODEL
    folder = "models"
    command = "bentoml models"

    def read_description(self, text: bytes, source: str, *, thorough: bool = False) -> Description:
        """Parse a model.yaml; see ``parse_description``."""
        return parse_description(text, source, with_models=False, thorough=thorough)
