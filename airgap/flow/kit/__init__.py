"""Kits: airgap itself and what it needs, for machines that have Python and no index."""
