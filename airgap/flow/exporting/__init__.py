"""Export: select items, read and cut them, pack, sign and write a bundle (format §12)."""
