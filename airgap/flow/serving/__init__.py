"""What a mirror serves: admitted bundles of a depot, read chunk by chunk."""
