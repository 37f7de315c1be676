"""Where to cut a file into chunks. A cutter sees the bytes once, in order, and never fails."""
