"""The errors isthmus raises on purpose: each message says what is wrong, where, and how to mend it."""


class IsthmusError(Exception):
    """Base of every error raised on purpose by isthmus."""


class DataError(IsthmusError, ValueError):
    """The data cannot be used as they are; the message names the column, file or row and the mend."""


class ConfigError(IsthmusError, ValueError):
    """An argument or a configuration entry is wrong; the message names it and its allowed values."""


class ArtifactError(IsthmusError, ValueError):
    """A saved model cannot be opened: broken, hostile, or of another version."""


class TrainingError(IsthmusError, RuntimeError):
    """Training had to stop; the message gives the step, the loss term and the mend.

    Attributes
    ----------
    result : isthmus.training.Result or None
        How far training came, if there are weights worth keeping; the model holds them.
    artifact : isthmus.Artifact or None
        The model with those weights, where a whole fit was asked for.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.result: object = None
        self.artifact: object = None


class MissingExtraError(IsthmusError, ImportError):
    """An optional dependency is needed; the message gives the ``pip install`` that brings it."""
