"""The ledgers of this machine: what is recorded in them, and what proves it to others."""
