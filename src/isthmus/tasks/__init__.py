"""Floor 7: one file per use of a model."""
