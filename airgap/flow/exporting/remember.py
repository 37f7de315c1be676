"""Keeps the manifests of exported bundles: a site's receipts say which of them it holds (§29)."""

from airgap.flow.progress import Progress
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.state.exported_manifests import save_exported

__all__ = ["remember_export"]


def remember_export(manifest: Manifest, progress: Progress) -> None:
    """Keep the manifest of a bundle: an export that is done does not fail for it."""
    raw = manifests.encode(manifest)
    try:
        save_exported(manifests.bundle_id(raw), raw)
    except OSError as error:
        progress.note(
            f"The bundle is written, but its manifest could not be kept: {error.strerror}. Give it"
            " by itself as a --base; `airgap receipt list --missing` does not know of it."
        )
