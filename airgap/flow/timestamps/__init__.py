"""Time stamps: asked for, kept beside what they are over, and judged as of a time (format §33)."""
