"""A model as ONNX files: encoder, decoder and score, for other languages, for devices and for the browser."""

from isthmus.artifact.onnx.files import Exported, export, exported, to_bytes, write

__all__ = ["Exported", "export", "exported", "to_bytes", "write"]
