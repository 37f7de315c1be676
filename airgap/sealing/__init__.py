"""Encryption of bundles to recipients, in the age v1 format (format §34)."""
