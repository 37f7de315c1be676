"""The import history of a site, and the sequence numbers of an exporter (format §17)."""
