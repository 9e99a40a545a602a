"""Machine logs: lines as a stream, their formats, and the templates of their messages."""

from isthmus.data.logs.drain import Fit, Miner, Template
from isthmus.data.logs.formats import FORMATS, Format, find_format, recognise
from isthmus.data.logs.lines import Batch, read_lines
from isthmus.data.logs.records import Parser, Reading, Record, read_log
from isthmus.data.logs.tally import Tally
from isthmus.data.logs.times import Clock

__all__ = [
    "FORMATS",
    "Batch",
    "Clock",
    "Fit",
    "Format",
    "Miner",
    "Parser",
    "Reading",
    "Record",
    "Tally",
    "Template",
    "find_format",
    "read_lines",
    "read_log",
    "recognise",
]
