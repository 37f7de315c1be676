"""What airgap has installed here: the log of imports, and the items with what needs them."""
