"""Faces for the network: what takes in bundles that others deliver."""
