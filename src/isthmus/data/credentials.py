"""Content Credentials (C2PA): how a picture was made, signed with a certificate of the user's."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from isthmus.data.provenance import TRAINED, Provenance, term
from isthmus.errors import DataError
from isthmus.extras import require

_ACTIONS = ("c2pa.actions.v2", "c2pa.actions")
_KEPT = {"system": "isthmus.system", "model": "isthmus.model", "operation": "isthmus.operation"}
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
# What says only that nobody was told whom to trust.
_UNTRUSTED = "signingCredential.untrusted"

_SIGNING: ContextVar[_Pen | None] = ContextVar("_SIGNING", default=None)


@dataclass(frozen=True)
class Signer:
    """A certificate with its key, to sign pictures with.

    Parameters
    ----------
    certificate : str or path
        PEM file: the signer's certificate, then those that vouch for it, without the root. C2PA refuses certificates that sign themselves.
    key : str or path
        PEM file with the private key, not encrypted: EC (P-256, P-384, P-521), RSA or Ed25519.
    timestamp : str
        Address of a time-stamping service (RFC 3161), which is asked once for each picture; none by default.

    Notes
    -----
    C2PA Technical Specification 2.2: a claim with the assertions ``c2pa.actions.v2`` (created, with the digital source type) and a
    hash of the file, signed by COSE.

    Examples
    --------
    >>> Signer("chain.pem", "key.pem").timestamp
    ''
    """

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]
    timestamp: str = ""


@dataclass(frozen=True)
class Credentials:
    """What the Content Credentials of a picture say, and whether they hold.

    Parameters
    ----------
    state : str
        ``"trusted"`` (signed by somebody the given anchors vouch for, and unchanged since), ``"valid"`` (signed and unchanged, by
        somebody nothing is known of) or ``"invalid"``.
    signer, issuer, time : str
        Who signed, who vouches for them, and when, if a time-stamping service said so.
    provenance : Provenance or None
        How the picture was made.
    problems : tuple of str
        Why they do not hold.

    Examples
    --------
    >>> Credentials("invalid", problems=("hash verification",)).problems
    ('hash verification',)
    """

    state: str
    signer: str = ""
    issuer: str = ""
    time: str = ""
    provenance: Provenance | None = None
    problems: tuple[str, ...] = ()


class _Pen:
    """A signer, opened once for many pictures."""

    def __init__(self, signer: Signer) -> None:
        self.c2pa = _c2pa("signing pictures")
        certificate, key = _text(signer.certificate, "certificate"), _text(signer.key, "key")
        info: dict[str, Any] = {"alg": _algorithm(key, signer.key).encode(), "sign_cert": certificate, "private_key": key}
        self.context = self.c2pa.Context(self.c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}}))
        try:
            self.signer = self.c2pa.Signer.from_info(self.c2pa.C2paSignerInfo(**info, ta_url=signer.timestamp.encode() or None))
            self._try()
        except self.c2pa.C2paError as error:
            raise DataError(
                f"cannot sign with the certificate {signer.certificate} and the key {signer.key}: {str(error)[:200]}. Give the key of this "
                "certificate, and a chain whose first certificate another one vouches for, meant for signing (digitalSignature)"
            ) from error

    def _try(self) -> None:
        """Sign a picture of one value, so that what is wrong is found before the work."""
        picture = BytesIO()
        Image.new("L", (1, 1)).save(picture, "PNG")
        picture.seek(0)
        signed = BytesIO()
        with self._builder(Provenance(TRAINED)) as builder:
            builder.sign(self.signer, "image/png", picture, signed)
        signed.seek(0)
        with self.c2pa.Reader("image/png", signed) as reader:
            problems = _problems(json.loads(reader.json()))
        if problems:
            raise self.c2pa.C2paError("; ".join(problems))

    def _builder(self, made: Provenance) -> Any:
        return self.c2pa.Builder(json.dumps(_manifest(made)), context=self.context)

    def sign(self, path: Path, made: Provenance) -> None:
        beside = path.with_name(f"{path.stem}-signed{path.suffix}")
        try:
            with self._builder(made) as builder:
                builder.sign_file(str(path), str(beside), self.signer)
            beside.replace(path)
        except self.c2pa.C2paError as error:
            raise DataError(f"cannot sign the picture: {str(error)[:200]}. Write it without a certificate, or try again") from error
        finally:
            beside.unlink(missing_ok=True)

    def close(self) -> None:
        self.signer.close()
        self.context.close()


@contextmanager
def signing(signer: Signer | None) -> Generator[None]:
    """Sign every picture that is written with a provenance within the block.

    Parameters
    ----------
    signer : Signer or None
        None signs none.

    Yields
    ------
    None

    Raises
    ------
    DataError
        If the files cannot be read, the key is not the certificate's, or C2PA does not allow the certificate; before anything is written.
    MissingExtraError
        If the package ``c2pa-python`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.data import write
    >>> with signing(None):  # or Signer("chain.pem", "key.pem")
    ...     file = write(Path(tempfile.mkdtemp()) / "a.png", [[[0.0], [1.0]]], provenance=Provenance("trainedAlgorithmicMedia"))
    >>> has_credentials(file)
    False
    """
    pen = None if signer is None else _Pen(signer)
    token = _SIGNING.set(pen)
    try:
        yield
    finally:
        _SIGNING.reset(token)
        if pen is not None:
            pen.close()


def sign(path: Path, made: Provenance) -> None:
    """Sign a picture's file in place, if the block this runs in is to sign pictures."""
    pen = _SIGNING.get()
    if pen is not None:
        pen.sign(path, made)


def has_credentials(path: str | os.PathLike[str]) -> bool:
    """Say whether a file seems to carry Content Credentials: whether their box (JUMBF) is in it."""
    content = Path(path).read_bytes()
    return b"jumb" in content and b"c2pa" in content


def read_credentials(path: str | os.PathLike[str], anchors: str | os.PathLike[str] | None = None) -> Credentials | None:
    """Return the Content Credentials of a picture, checked.

    Parameters
    ----------
    path : str or path
        PNG, JPEG, WebP, AVIF, TIFF ...
    anchors : str or path, optional
        PEM file of the root certificates to trust.

    Returns
    -------
    Credentials or None
        None if there are none.

    Raises
    ------
    DataError
        If the file cannot be read.
    MissingExtraError
        If the package ``c2pa-python`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "plain.png"
    >>> Image.new("L", (2, 2)).save(file)
    >>> has_credentials(file)
    False
    """
    c2pa = _c2pa("reading Content Credentials")
    trust = {} if anchors is None else {"trust": {"trust_anchors": _roots(anchors)}}
    settings = c2pa.Settings.from_dict({"verify": {"verify_trust": anchors is not None, "remote_manifest_fetch": False}, **trust})
    try:
        with c2pa.Context(settings) as context, c2pa.Reader(str(Path(path).expanduser()), context=context) as reader:
            found = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        raise DataError(f"the Content Credentials of {path} cannot be read: {str(error)[:200]}. Fetch the file again") from error
    return _credentials(found)


def _c2pa(purpose: str) -> Any:
    require("cryptography", "c2pa", purpose)
    return require("c2pa", "c2pa", purpose)


def _text(path: str | os.PathLike[str], what: str) -> bytes:
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"the {what} {path} cannot be read: {error.strerror}. Give a PEM file") from error
    if b"-----BEGIN " not in content or b"\0" in content:
        raise DataError(f"the {what} {path} is no PEM file (-----BEGIN ...). Convert it, such as with openssl")
    return content


def _roots(path: str | os.PathLike[str]) -> str:
    content = _text(path, "trust file")
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise DataError(f"the trust file {path} holds no certificate (-----BEGIN CERTIFICATE-----). Give those of the roots to trust")
    return content.decode()


def _algorithm(key: bytes, path: str | os.PathLike[str]) -> str:
    """Return C2PA's name of the algorithm that a key signs by."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(key, None)
    except TypeError as error:
        raise DataError(f"the key {path} is encrypted. Decrypt it: openssl pkey -in {path} -out plain.pem") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DataError(f"the key {path} is no private key in PEM. Give an EC, RSA or Ed25519 key") from error
    if isinstance(found, ec.EllipticCurvePrivateKey) and found.curve.name in _CURVES:
        return _CURVES[found.curve.name]
    if isinstance(found, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(found, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise DataError(f"the key {path} is of a kind that C2PA does not know. Give an EC (P-256, P-384, P-521), RSA or Ed25519 key")


def _manifest(made: Provenance) -> dict[str, Any]:
    name, _, version = made.software.rpartition(" ") if " " in made.software else (made.software or "isthmus", "", "")
    agent = {"name": name, **({"version": version} if version else {})}
    told = {key: getattr(made, entry) for entry, key in _KEPT.items() if getattr(made, entry)}
    action = {"action": "c2pa.created", "digitalSourceType": made.address, "softwareAgent": agent, "parameters": told}
    return {"claim_generator_info": [agent], "assertions": [{"label": _ACTIONS[0], "data": {"actions": [action]}}]}


def _credentials(found: dict[str, Any]) -> Credentials:
    manifest = found.get("manifests", {}).get(found.get("active_manifest"), {})
    signature, state = manifest.get("signature_info", {}), str(found.get("validation_state", "invalid")).lower()
    said = {"signer": signature.get("common_name"), "issuer": signature.get("issuer"), "time": signature.get("time")}
    problems = _problems(found) if state == "invalid" else ()
    return Credentials(state, **{name: str(text or "") for name, text in said.items()}, provenance=_told(manifest), problems=problems)


def _problems(found: dict[str, Any]) -> tuple[str, ...]:
    failures = found.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    return tuple(f"{one.get('explanation') or ''} ({one['code']})" for one in failures if one["code"] != _UNTRUSTED)


def _told(manifest: dict[str, Any]) -> Provenance | None:
    """Return the first source type that an action names, of whatever program."""
    labelled = [entry for entry in manifest.get("assertions", []) if entry.get("label", "").startswith(_ACTIONS[1])]
    actions: list[dict[str, Any]] = [action for entry in labelled for action in entry.get("data", {}).get("actions", [])]
    for action in actions:
        if action.get("digitalSourceType"):
            kept: dict[str, Any] = action.get("parameters") or {}
            return Provenance(
                term(str(action["digitalSourceType"])), _software(action), **{entry: str(kept.get(key, "")) for entry, key in _KEPT.items()}
            )
    return None


def _software(action: dict[str, Any]) -> str:
    """Return the program's name and version, which older versions of C2PA write as one text."""
    found: Any = action.get("softwareAgent") or ""
    return found if isinstance(found, str) else " ".join(filter(None, (found.get("name"), found.get("version"))))
