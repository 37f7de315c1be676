"""The command line: one file per command, each making one call into ``flow``."""
