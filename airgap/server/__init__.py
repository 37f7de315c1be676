"""The isolated side's gateway: what takes bundles in. It makes no trust decision of its own."""
