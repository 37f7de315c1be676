"""What airgap does, end to end: the only place where stores and transports meet."""
