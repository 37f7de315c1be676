"""Where bundles are: locations, credentials, named remotes, and writers for them."""
