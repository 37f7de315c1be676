"""BentoML's stores, the Hugging Face cache, staging, and the site's own state."""
