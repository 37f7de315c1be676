"""How a bundle becomes visible in a depot, and stays safe from garbage collection (format §23)."""
