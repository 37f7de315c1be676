"""The wire protocols of stock clients, over ``flow.serving``: nothing is decided here."""
