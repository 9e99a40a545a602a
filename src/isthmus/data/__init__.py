"""Data in and out: reading, checking, scaling and writing."""

from isthmus.data.condition import Condition
from isthmus.data.credentials import Credentials, Signer, read_credentials, signing
from isthmus.data.dataset import Dataset, open_dataset
from isthmus.data.frames import from_any
from isthmus.data.kinds import Column
from isthmus.data.mixed import ColumnsPreprocessor
from isthmus.data.prepare import AnyPreprocessor, fit_preprocessor, restore_preprocessor
from isthmus.data.preprocessor import Preprocessor
from isthmus.data.provenance import Provenance, read_provenance
from isthmus.data.read import read
from isthmus.data.schema import Schema
from isthmus.data.source import Source
from isthmus.data.stream import Stream
from isthmus.data.table import like, to_table
from isthmus.data.write import write

__all__ = [
    "AnyPreprocessor",
    "Column",
    "ColumnsPreprocessor",
    "Condition",
    "Credentials",
    "Dataset",
    "Preprocessor",
    "Provenance",
    "Schema",
    "Signer",
    "Source",
    "Stream",
    "fit_preprocessor",
    "from_any",
    "like",
    "open_dataset",
    "read",
    "read_credentials",
    "read_provenance",
    "restore_preprocessor",
    "signing",
    "to_table",
    "write",
]
