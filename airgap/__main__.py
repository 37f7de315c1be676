"""``python -m airgap``."""

from airgap.cli.main import main

main()
