"""The console: pages that show people what a mirror serves, and why it does not serve the rest."""
