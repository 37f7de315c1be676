"""``airgap scan``: what the files of items would run, and whether a policy permits it."""
