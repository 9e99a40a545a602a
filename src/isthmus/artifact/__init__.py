"""Floor 6: a saved model. Text and tensors, never code."""

from isthmus.artifact.artifact import VERSION, Artifact

__all__ = ["VERSION", "Artifact"]
