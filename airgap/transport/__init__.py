"""Files by name at a URL: one port, and a folder for each protocol. Transports decide nothing."""
