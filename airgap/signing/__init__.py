"""Keys, signatures and the decision to trust (format §6 and §7)."""
