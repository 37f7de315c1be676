"""Archives: bundles are taken in, held, and let go (format §35)."""
