"""Proof that a Bento runs without a network: it is served where every look-up is written down."""
