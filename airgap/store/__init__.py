"""Kinds of items and where they are installed: BentoML's home, the Hugging Face cache, staging."""
