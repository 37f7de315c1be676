"""From a delivered candidate to a verdict, once: imported, held, or quarantined."""
