"""Files on a web server: ranges of them, listings, and uploads where the server takes them."""
