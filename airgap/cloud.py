"""A depot in place of BentoCloud, as ``bentoml.cloud`` has it; see ``airgap.api.cloud``."""

from airgap.api.cloud import BentoCloudClient

__all__ = ["BentoCloudClient"]
