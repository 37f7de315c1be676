"""Lines for people, for 80 columns; nothing is cut off."""
