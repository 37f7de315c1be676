"""The version of airgap: of the code, not of the bundle format (format §13)."""

__all__ = ["__version__"]

__version__ = "0.2.0"
