"""Python packages of a Bento: what it asks for, and the wheels that it needs for a target."""
