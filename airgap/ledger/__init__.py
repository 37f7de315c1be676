"""What a site has imported, and what an exporter has numbered: small files that only go forward."""
