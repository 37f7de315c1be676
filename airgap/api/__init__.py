"""The face for Python, in the shape of BentoML's own API."""
