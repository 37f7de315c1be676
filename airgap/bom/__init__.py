"""Bills of materials and licences: what an item says of itself, and what a policy says of that."""
