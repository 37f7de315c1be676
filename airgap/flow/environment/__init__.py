"""Environments on the isolated side: the Python packages of a Bento, installed without an index."""
