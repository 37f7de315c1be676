"""Lines for people, for 80 columns; only texts that others chose are clipped."""
