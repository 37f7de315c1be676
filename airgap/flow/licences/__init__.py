"""Licences of items: what they are, and what a policy says of them."""
