"""Keys, signatures and the trust decision (format §6, §7)."""
