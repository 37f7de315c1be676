"""Archives that stock `bentoml import` reads: tar, zip and folders (format §10)."""
