"""From a delivered bundle to its one verdict: imported, held or quarantined."""
