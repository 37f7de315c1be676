"""The demo: a real Bento carried across an imaginary gap, with the commands people would type."""
