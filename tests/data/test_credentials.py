"""Content Credentials: pictures signed by a certificate, checked, and what is refused."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

from isthmus.data import Provenance, Signer, read_credentials, read_provenance, signing, write
from isthmus.data.credentials import has_credentials
from isthmus.data.provenance import COMPOSITE, TRAINED
from isthmus.errors import DataError, MissingExtraError

c2pa = pytest.importorskip("c2pa")

MADE = Provenance(TRAINED, "isthmus 1.2.3", "isthmus variational", "0123abcd", "sample")


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def signer(certificates):
    return Signer(certificates / "chain.pem", certificates / "key.pem")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "avif"])
def test_every_format_is_signed_and_still_a_picture(tmp_path, pixels, signer, certificates, ending):
    with signing(signer):
        path = write(tmp_path / f"a.{ending}", pixels, provenance=MADE)
    plain = write(tmp_path / f"b.{ending}", pixels, provenance=MADE)
    found = read_credentials(path)
    assert (found.state, found.signer, found.issuer, found.problems) == ("valid", "A signer", "A studio", ())
    assert found.provenance == MADE
    assert read_credentials(path, certificates / "root.pem").state == "trusted"
    assert read_credentials(path, certificates / "stranger.pem").state == "valid"
    with pytest.raises(DataError, match="holds no certificate"):
        read_credentials(path, certificates / "key.pem")
    assert read_provenance(path) == MADE, "XMP stays"
    with Image.open(path) as ours, Image.open(plain) as other:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(other))
    assert (has_credentials(path), has_credentials(plain), read_credentials(plain)) == (True, False, None)


def test_sixteen_bits_are_signed(tmp_path, rng, signer):
    pixels = rng.integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    with signing(signer):
        path = write(tmp_path / "a.png", pixels, provenance=MADE)
    assert read_credentials(path).state == "valid"


def test_what_no_model_made_is_not_signed(tmp_path, pixels, signer):
    with signing(signer):
        path = write(tmp_path / "a.png", pixels)
    assert not has_credentials(path)


def test_folders_are_signed_picture_by_picture(tmp_path, rng, signer):
    with signing(signer):
        folder = write(tmp_path / "made", rng.random((3, 8, 8, 1)), provenance=Provenance(COMPOSITE))
    assert [read_credentials(file).provenance.source_type for file in sorted(folder.iterdir())] == [COMPOSITE] * 3
    assert len(list(folder.iterdir())) == 3, "nothing lies beside them"


def test_a_changed_picture_is_found_out(tmp_path, pixels, signer):
    with signing(signer):
        path = write(tmp_path / "a.png", pixels, provenance=MADE)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"IDAT") + 30
    content[place] ^= 1
    path.write_bytes(content)
    found = read_credentials(path)
    assert found.state == "invalid"
    assert any("dataHash.mismatch" in problem for problem in found.problems)


def test_other_kinds_of_keys(tmp_path, pixels, certificates):
    for kind in ("rsa", "ed25519", "p384"):
        with signing(Signer(certificates / f"{kind}.pem", certificates / f"{kind}-key.pem")):
            assert read_credentials(write(tmp_path / "a.png", pixels, provenance=MADE)).state == "valid"


@pytest.mark.parametrize(
    ("chain", "key", "said"),
    [
        ("none.pem", "key.pem", "the certificate .*none.pem cannot be read"),
        ("chain.pem", "none.pem", "the key .*none.pem cannot be read"),
        ("text.pem", "key.pem", "text.pem is no PEM file"),
        ("chain.pem", "chain.pem", "chain.pem is no private key"),
        ("chain.pem", "locked.pem", "locked.pem is encrypted. Decrypt it"),
        ("chain.pem", "curve.pem", "of a kind that C2PA does not know"),
        ("chain.pem", "p384-key.pem", "cannot sign with the certificate .*Give the key of this certificate"),
        ("chain.pem", "other-key.pem", "cannot sign with the certificate .*Give the key of this certificate"),
        ("root.pem", "root-key.pem", "cannot sign with the certificate .*self-signed"),
        ("old.pem", "key.pem", "cannot sign with the certificate"),
    ],
)
def test_what_cannot_sign_is_refused_before_anything_is_written(tmp_path, pixels, certificates, chain, key, said):
    (tmp_path / "text.pem").write_text("hello")
    place = tmp_path if chain == "text.pem" else certificates
    with pytest.raises(DataError, match=said), signing(Signer(place / chain, certificates / key)):
        write(tmp_path / "a.png", pixels, provenance=MADE)
    assert not (tmp_path / "a.png").exists()


def test_a_failure_leaves_nothing(tmp_path, pixels, signer, monkeypatch):
    with signing(signer), monkeypatch.context() as patch:
        patch.setattr(c2pa.Builder, "sign_file", lambda *_: (_ for _ in ()).throw(c2pa.C2paError("Io: no space left")))
        with pytest.raises(DataError, match=r"cannot sign the picture: .*no space left"):
            write(tmp_path / "a.png", pixels, provenance=MADE)
    assert list(tmp_path.iterdir()) == []


def test_broken_credentials(tmp_path, pixels, signer):
    with signing(signer):
        path = write(tmp_path / "a.jpg", pixels, provenance=MADE)
    content = bytearray(path.read_bytes())
    place = content.index(b"jumb") + 200
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Content Credentials of .*a\.jpg cannot be read"):
        read_credentials(path)


def test_the_signatures_of_other_programs(tmp_path, pixels, certificates):
    write(tmp_path / "a.png", pixels)
    info = c2pa.C2paSignerInfo(
        alg=b"es256", sign_cert=(certificates / "chain.pem").read_bytes(), private_key=(certificates / "key.pem").read_bytes(), ta_url=None
    )
    action = {"action": "c2pa.created", "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"}
    told = {"claim_generator_info": [{"name": "camera"}], "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}]}
    with c2pa.Signer.from_info(info) as pen, c2pa.Builder(json.dumps(told)) as builder:
        builder.sign_file(str(tmp_path / "a.png"), str(tmp_path / "b.png"), pen)
    assert read_credentials(tmp_path / "b.png").provenance == Provenance("digitalCapture")


def test_without_the_package(tmp_path, pixels, signer, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    for work in (lambda: signing(signer).__enter__(), lambda: read_credentials(tmp_path / "a.png")):
        with pytest.raises(MissingExtraError, match=r"pip install 'isthmus\[c2pa\]'"):
            work()
