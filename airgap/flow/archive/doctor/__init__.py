"""The doctor of an archive: looks at what protects it, and says what to do."""
