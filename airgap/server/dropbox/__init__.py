"""The drop box: an FTP and FTPS server whose accounts can deliver bundles, and nothing else."""
