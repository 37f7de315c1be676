"""An inbox: what stock clients have pushed, until a builder signs it."""
