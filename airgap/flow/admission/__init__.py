"""Whether this site admits a bundle: policy, import history, and its reset (format §17)."""
