"""Images that an import installed: listed, pushed to a registry, saved as files."""
