"""Bundles, roots and histories as plain data, for JSON and for reports."""
