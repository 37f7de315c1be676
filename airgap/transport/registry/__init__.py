"""Registries for images, over HTTP: the part of the OCI distribution specification for pushing."""
