"""What a picture's metadata say of its making: written into pictures that a model made, and read from any."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from isthmus.data.pictures import UNREADABLE
from isthmus.errors import ConfigError, DataError

TRAINED = "trainedAlgorithmicMedia"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MEANINGS = {
    TRAINED: "made by a model trained on data",
    COMPOSITE: "composed of several pictures, some of them made by a model trained on data",
    "algorithmicMedia": "made by an algorithm without training data",
    "compositeSynthetic": "composed of several pictures, some of them synthetic",
    "algorithmicallyEnhanced": "enhanced by an algorithm",
    "digitalCapture": "taken by a camera",
    "digitalCreation": "made by a person with digital tools",
    "humanEdits": "edited by a person",
}
_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "isthmus": "https://isthmus.invalid/xmp/1/",
}
_ENTRIES = {
    "source_type": "Iptc4xmpExt:DigitalSourceType",
    "software": "xmp:CreatorTool",
    "system": "Iptc4xmpExt:AISystemUsed",
    "model": "Iptc4xmpExt:AISystemVersionUsed",
    "operation": "isthmus:Operation",
}
# Longer than any that only says where a picture is from; what is longer is not parsed.
_LONGEST = 4 << 20
_WIDE = (b"\xff\xfe", b"\xfe\xff")
PNG_KEYWORD = "XML:com.adobe.xmp"
_KEYS = ("xmp", PNG_KEYWORD)


@dataclass(frozen=True)
class Provenance:
    """How a picture came to be.

    Parameters
    ----------
    source_type : str
        A term of IPTC's list of digital source types, such as ``"trainedAlgorithmicMedia"``, or an address outside of it.
    software : str
        Name and version of the program.
    system : str
        What made the picture, such as the family of the model.
    model : str
        Which version of it: the fingerprint of the model.
    operation : str
        What was done, such as ``"sample"``.

    Notes
    -----
    Kept as XMP: ``Iptc4xmpExt:DigitalSourceType``, ``xmp:CreatorTool``, ``Iptc4xmpExt:AISystemUsed`` and
    ``Iptc4xmpExt:AISystemVersionUsed`` of the IPTC Photo Metadata Standard 2025.1, and the operation in a namespace of its own.

    Examples
    --------
    >>> made = Provenance("trainedAlgorithmicMedia", "isthmus", operation="sample")
    >>> Provenance.from_xmp(made.to_xmp()) == made
    True
    """

    source_type: str
    software: str = ""
    system: str = ""
    model: str = ""
    operation: str = ""

    @property
    def meaning(self) -> str:
        """The source type in words."""
        return MEANINGS.get(self.source_type, self.source_type)

    @property
    def address(self) -> str:
        """The address of the source type."""
        return self.source_type if "/" in self.source_type else SOURCE_TYPES + self.source_type

    def to_xmp(self) -> bytes:
        """Return the entries as an XMP packet."""
        told = {
            "source_type": self.address,
            "software": self.software,
            "system": self.system,
            "model": self.model,
            "operation": self.operation,
        }
        meta = ElementTree.Element("x:xmpmeta", {"xmlns:x": "adobe:ns:meta/"})
        rdf = ElementTree.SubElement(meta, "rdf:RDF", {"xmlns:rdf": _NAMESPACES["rdf"]})
        declared = {f"xmlns:{name}": address for name, address in _NAMESPACES.items() if name != "rdf"}
        entries = {_ENTRIES[name]: _plain(text) for name, text in told.items() if text}
        ElementTree.SubElement(rdf, "rdf:Description", {"rdf:about": "", **declared, **entries})
        head, tail = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', '\n<?xpacket end="w"?>'
        return (head + ElementTree.tostring(meta, encoding="unicode") + tail).encode()

    @classmethod
    def from_xmp(cls, packet: bytes) -> Provenance | None:
        """Return what an XMP packet says, of whatever program; None if it says nothing of a source type.

        Raises
        ------
        DataError
            If it is no XMP, or declares a document type, which XMP has no use for and by which small files grow to any size.
        """
        root = _parsed(packet)
        found = {name: _entry(root, entry) for name, entry in _ENTRIES.items()}
        if not found["source_type"]:
            return None
        return cls(**{**found, "source_type": term(found["source_type"])})


def term(address: str) -> str:
    """Return the term of IPTC's list that an address names, or the address if it names none."""
    return address.split("/digitalsourcetype/")[-1].strip("/") or address


def _plain(text: str) -> str:
    """Leave out what XML has no way to write."""
    return "".join(letter for letter in text if letter.isprintable())


class _NoDocumentType(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        del name, pubid, system
        raise DataError("its XMP declares a document type, which is not read. Remove the metadata, or save the picture anew")


def _parsed(packet: bytes) -> ElementTree.Element:
    if len(packet) > _LONGEST:
        raise DataError(f"its XMP has {len(packet):,} bytes, far more than XMP ever has. Remove the metadata, or save the picture anew")
    parser = ElementTree.XMLParser(target=_NoDocumentType())
    try:
        parser.feed(packet if b"\0" in packet[:4] or packet[:2] in _WIDE else packet.strip(b"\0 \n\r\t"))
        return parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"its XMP is no XML: {str(error)[:120]}. Remove the metadata, or save the picture anew") from error


def _entry(root: ElementTree.Element, entry: str) -> str:
    """Return an entry, which XMP may write as an attribute, as an element with text, with a resource or with a list."""
    prefix, _, name = entry.partition(":")
    key, resource = f"{{{_NAMESPACES[prefix]}}}{name}", f"{{{_NAMESPACES['rdf']}}}resource"
    for element in root.iter():
        text = element.get(key)
        if element.tag == key:
            text = element.get(resource) or "".join(element.itertext())
        if text and text.strip():
            return text.strip()
    return ""


def png_info(xmp: bytes) -> PngInfo:
    """Return what Pillow needs to write an XMP packet, or none, into a PNG."""
    info = PngInfo()
    if xmp:
        info.add_itxt(PNG_KEYWORD, xmp.decode())
    return info


def check_provenance(found: object) -> Provenance | None:
    """Return a provenance or None as it is.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    if found is None or isinstance(found, Provenance):
        return found
    raise ConfigError(f"provenance must be a Provenance or None, not {found!r}")


def read_provenance(path: str | os.PathLike[str]) -> Provenance | None:
    """Return what the metadata of a picture say of its making.

    Parameters
    ----------
    path : str or path
        A picture: PNG, JPEG, WebP, AVIF, TIFF ...

    Returns
    -------
    Provenance or None
        None if they say nothing, which proves nothing: metadata are easily lost, and easily changed.

    Raises
    ------
    DataError
        If the file is no picture that can be read, or its XMP is broken.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from isthmus.data import write
    >>> file = write(Path(tempfile.mkdtemp()) / "a.webp", np.zeros((4, 4, 3)), provenance=Provenance("trainedAlgorithmicMedia"))
    >>> read_provenance(file).meaning
    'made by a model trained on data'
    """
    return look(path)[1]


def look(path: str | os.PathLike[str]) -> tuple[dict[str, str], Provenance | None]:
    """Return what a picture's file is, and its provenance; errors as for `read_provenance`."""
    path = Path(path).expanduser()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                facts = {"format": str(image.format), "size": f"{image.height} x {image.width} (height x width)", "mode": image.mode}
                packet = _packet(image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise DataError(f"{path.name} has more than {Image.MAX_IMAGE_PIXELS} pixels, far beyond a usual picture") from error
        except FileNotFoundError as error:
            raise DataError(f"there is no file {path}. Check the path") from error
        except UNREADABLE as error:
            raise DataError(f"{path.name} cannot be read as a picture: {str(error)[:120]}. It may be cut off; fetch it again") from error
    try:
        return facts, Provenance.from_xmp(packet) if packet else None
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error


def _packet(image: Image.Image) -> bytes:
    found = _stored(image)
    if found is None and image.format == "PNG":
        image.load()  # it may stand after the pixels
        found = _stored(image)
    return b"" if found is None else found.encode() if isinstance(found, str) else bytes(found)


def _stored(image: Image.Image) -> Any:
    return next((image.info[key] for key in _KEYS if image.info.get(key)), None)
