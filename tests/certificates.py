"""Certificates for the tests: a root, chains of several kinds below it, and what does not fit."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def make(folder: Path) -> Path:
    root, stranger, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    anchor = _certificate("root", root, "root", root)
    _write(folder / "root.pem", anchor)
    _write(folder / "stranger.pem", _certificate("stranger", stranger, "stranger", stranger))
    _write(folder / "chain.pem", _certificate("A signer", key, "root", root), anchor)
    _write(folder / "old.pem", _certificate("A signer", key, "root", root, days=-10), anchor)
    keys: dict[str, Any] = {
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "p384": ec.generate_private_key(ec.SECP384R1()),
    }
    for name, made in keys.items():
        _write(folder / f"{name}.pem", _certificate(name, made, "root", root), anchor)
    others = {"key": key, "root-key": root, "other-key": stranger, "curve": ec.generate_private_key(ec.SECP256K1())}
    for name, made in {**others, **{f"{name}-key": made for name, made in keys.items()}}.items():
        (folder / f"{name}.pem").write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "locked.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    return folder


def _write(path: Path, *chain: x509.Certificate) -> None:
    path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))


def _certificate(subject: str, key: Any, issuer: str, root: Any, days: int = 365) -> x509.Certificate:
    above, now = subject == issuer, datetime.datetime.now(datetime.UTC)
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    made = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(20))
    made = made.not_valid_after(now + datetime.timedelta(days)).add_extension(x509.BasicConstraints(above, None), True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
    made = made.add_extension(x509.KeyUsage(not above, key_cert_sign=above, crl_sign=above, **dict.fromkeys(unused, False)), True)
    if not above:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
    return made.sign(root, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A studio"), x509.NameAttribute(NameOID.COMMON_NAME, common)])
