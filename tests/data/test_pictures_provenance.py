"""How a picture says that a model made it."""

import io
import re
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from isthmus.data import Provenance, read_provenance, write
from isthmus.data.provenance import COMPOSITE, TRAINED
from isthmus.errors import ConfigError, DataError

MADE = Provenance(TRAINED, "isthmus 1.2.3", 'isthmus "a<b" & ü', "0123abcd", "sample")
FORMATS = ["png", "jpg", "jpeg", "webp", "avif"]
ADDRESS = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
TERM = ADDRESS.decode()
HEAD = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
SPACE = 'xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
TAIL = "</rdf:RDF></x:xmpmeta>"


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_keeps_it(tmp_path, pixels, ending):
    path = write(tmp_path / f"a.{ending}", pixels, provenance=MADE)
    assert read_provenance(path) == MADE
    assert ADDRESS in path.read_bytes()
    with Image.open(path) as image:
        assert image.format == {"png": "PNG", "webp": "WEBP", "avif": "AVIF"}.get(ending, "JPEG")


@pytest.mark.parametrize("ending", FORMATS)
def test_without_it_nothing_is_said(tmp_path, pixels, ending):
    path = write(tmp_path / f"a.{ending}", pixels)
    assert read_provenance(path) is None
    assert b"xmp" not in path.read_bytes().lower()


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "avif"])
def test_pixels_are_the_same_with_it(tmp_path, pixels, ending):
    paths = [write(tmp_path / f"{i}.{ending}", pixels, provenance=made) for i, made in enumerate([None, MADE])]
    first, second = (np.asarray(Image.open(path)) for path in paths)
    np.testing.assert_array_equal(first, second)


def test_folders_sheets_and_sixteen_bits(tmp_path, rng):
    pictures = rng.integers(0, 65536, (3, 8, 6, 3), dtype=np.uint16)
    for path in [
        *sorted(write(tmp_path / "folder", pictures, provenance=MADE).iterdir()),
        write(tmp_path / "a.png", pictures, provenance=MADE),
    ]:
        assert read_provenance(path) == MADE
        content = path.read_bytes()
        place = content.index(b"iTXt")
        size = int.from_bytes(content[place - 4 : place], "big")
        assert int.from_bytes(content[place + 4 + size : place + 8 + size], "big") == zlib.crc32(content[place : place + 4 + size])


def test_tables_have_no_such_thing(tmp_path):
    plain, made = write(tmp_path / "a.csv", np.eye(3)), write(tmp_path / "b.csv", np.eye(3), provenance=MADE)
    assert plain.read_bytes() == made.read_bytes()


def test_the_packet_is_what_the_standards_say():
    packet = MADE.to_xmp().decode()
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert packet.endswith('<?xpacket end="w"?>')
    for name in (
        "x:xmpmeta",
        "rdf:RDF",
        "rdf:Description",
        "Iptc4xmpExt:DigitalSourceType=",
        "xmp:CreatorTool=",
        "Iptc4xmpExt:AISystemUsed=",
    ):
        assert name in packet
    root = ElementTree.fromstring(re.sub(r"<\?xpacket.*?\?>", "", packet))
    description = root[0][0]
    assert root[0].tag == "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF"
    assert description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == ADDRESS.decode()
    assert description.get("{http://ns.adobe.com/xap/1.0/}CreatorTool") == "isthmus 1.2.3"


def test_words_that_xml_cannot_hold():
    odd = Provenance(COMPOSITE, "a\0b\x08c\ud800\nd", "<!-- ]]> &amp;")
    assert Provenance.from_xmp(odd.to_xmp()) == Provenance(COMPOSITE, "abcd", "<!-- ]]> &amp;")


@pytest.mark.parametrize(
    "body",
    [
        f'<rdf:Description {SPACE} e:DigitalSourceType="{TERM}" xmp:CreatorTool="Tool 1"/>',
        f"<rdf:Description {SPACE}><e:DigitalSourceType>{TERM}</e:DigitalSourceType>"
        "<xmp:CreatorTool>Tool 1</xmp:CreatorTool></rdf:Description>",
        f'<rdf:Description {SPACE} xmp:CreatorTool=" Tool 1 "><e:DigitalSourceType rdf:resource="{TERM}/"/></rdf:Description>',
        f'<rdf:Description {SPACE} xmp:CreatorTool="Tool 1"/><rdf:Description {SPACE}><e:DigitalSourceType><rdf:Bag><rdf:li>{TERM}</rdf:li>'
        "</rdf:Bag></e:DigitalSourceType></rdf:Description>",
    ],
)
@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
def test_other_programs_write_it_in_other_ways(body, code):
    assert Provenance.from_xmp((HEAD + body + TAIL).encode(code)) == Provenance(TRAINED, "Tool 1")


def test_unknown_terms_and_none():
    found = Provenance.from_xmp(f'{HEAD}<rdf:Description {SPACE} e:DigitalSourceType="http://example.com/own"/>{TAIL}'.encode())
    assert (found.source_type, found.meaning) == ("http://example.com/own", "http://example.com/own")
    assert Provenance.from_xmp(found.to_xmp()) == found
    assert Provenance.from_xmp(f'{HEAD}<rdf:Description {SPACE} xmp:CreatorTool="Tool"/>{TAIL}'.encode()) is None


BOMB = "<!DOCTYPE x [" + '<!ENTITY a "ha">' + "".join(f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefgh", "bcdefghi")) + "]>"


@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
@pytest.mark.parametrize("start", [BOMB, '<!DOCTYPE x SYSTEM "file:///etc/passwd">', "<!DOCTYPE x>"])
def test_document_types_are_refused(start, code):
    packet = f'{start}{HEAD}<rdf:Description {SPACE} e:DigitalSourceType="&i;"/>{TAIL}'
    with pytest.raises(DataError, match="declares a document type"):
        Provenance.from_xmp(packet.encode(code))


@pytest.mark.parametrize(
    "packet", [b"", b"no xml", b"<a>", b"<a><b></a>", b"<a b='1' b='2'/>", b"\xff\xfe\xff", b'<?xml version="1.0" encoding="odd"?><a/>']
)
def test_broken_packets(packet):
    with pytest.raises(DataError, match="its XMP is no XML"):
        Provenance.from_xmp(packet)


def test_endless_packets():
    with pytest.raises(DataError, match="far more than XMP ever has"):
        Provenance.from_xmp(b" " * (5 << 20))


def test_after_the_pixels_of_a_png(tmp_path, pixels):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", MADE.to_xmp().decode(), zip=True)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=info)
    content = stream.getvalue()
    place = content.index(b"iTXt") - 4
    size = int.from_bytes(content[place : place + 4], "big") + 12
    text, rest = content[place : place + size], content[:place] + content[place + size :]
    (tmp_path / "a.png").write_bytes(rest[:-12] + text + rest[-12:])
    assert read_provenance(tmp_path / "a.png") == MADE


def test_what_cannot_be_read(tmp_path, pixels):
    with pytest.raises(DataError, match="there is no file"):
        read_provenance(tmp_path / "none.png")
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(DataError, match=r"a\.png cannot be read as a picture"):
        read_provenance(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.jpg", xmp=b"<broken")
    with pytest.raises(DataError, match=r"b\.jpg: its XMP is no XML"):
        read_provenance(tmp_path / "b.jpg")
    with pytest.raises(ConfigError, match="provenance must be a Provenance"):
        write(tmp_path / "c.png", pixels, provenance="me")
    assert not (tmp_path / "c.png").exists()
