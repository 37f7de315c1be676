"""Bundles on media: volumes, missing volumes, and parity (format §19, §20)."""
