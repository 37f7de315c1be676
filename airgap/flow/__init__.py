"""Use cases: one folder for each thing a person does. Stores and carriers meet only here."""
