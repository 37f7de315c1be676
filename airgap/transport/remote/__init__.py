"""Depots that are elsewhere: one file for each protocol, and one port that all of them fill."""
