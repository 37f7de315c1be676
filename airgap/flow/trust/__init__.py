"""Keys, roots, pins, attestations, signatures and waivers (format §7, §14 to §16)."""
