"""Shared depots: list, push, pull, copy, delete and garbage collection (format §23)."""
