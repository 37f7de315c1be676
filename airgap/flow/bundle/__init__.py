"""One bundle: open and admit it, find its base bundles, know whether it is complete."""
