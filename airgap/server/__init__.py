"""Faces for the network: they take in bundles that others deliver, and serve what these hold."""
