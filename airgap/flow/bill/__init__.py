"""Bills of materials of bundles and of installed items."""
