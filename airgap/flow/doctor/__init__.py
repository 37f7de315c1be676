"""The doctor: looks at this machine's setup, changes nothing, and says what to do."""
