"""Receipts of imports: made at a site, accepted by those who sent the bundle (format §29)."""
