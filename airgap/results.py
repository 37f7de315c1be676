"""What the functions of airgap return; see ``airgap.api.results``, which lists the names."""

from airgap.api import results as _results
from airgap.api.results import *  # noqa: F403  (a second list would have to be kept equal)

__all__: list[str] = []
__all__ += _results.__all__  # in a form that type checkers follow
