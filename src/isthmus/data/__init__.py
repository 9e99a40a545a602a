"""Data in and out: reading, checking, scaling and writing."""

from isthmus.data.dataset import Dataset, open_dataset
from isthmus.data.frames import from_any
from isthmus.data.preprocessor import Preprocessor
from isthmus.data.read import read
from isthmus.data.schema import Schema
from isthmus.data.source import Source
from isthmus.data.stream import Stream
from isthmus.data.write import write

__all__ = ["Dataset", "Preprocessor", "Schema", "Source", "Stream", "from_any", "open_dataset", "read", "write"]
