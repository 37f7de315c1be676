"""Evidence about bundles: attached, judged, and collected for auditors (format §24)."""
