"""Judges the files of a bundle in staging: by the gate, and by the site's own scanners."""
