"""Lines for people; texts that others chose are claims, which a terminal shows in marked rows."""
