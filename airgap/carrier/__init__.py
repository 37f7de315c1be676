"""The forms of a bundle: depots and `.airgap` files. Carriers see no keys and are not trusted."""
