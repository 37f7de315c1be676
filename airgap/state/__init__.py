"""Files in AIRGAP_HOME: the pinned root, caches, and marks of unfinished uploads."""
