"""Bundles on media: volumes, what is missing of them, and parity (format §19, §20)."""
