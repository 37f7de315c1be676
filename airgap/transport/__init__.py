"""How bundles travel. Carriers are not trusted and are never asked; they see no keys."""
