"""What an archive must keep: its records are read, and decide what may be removed (format §35)."""
