"""Faces for the network: they take in bundles that others deliver."""
