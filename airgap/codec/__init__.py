"""Codecs: plain bytes to stored bytes and back, bounded by a known length (format §5.2)."""
