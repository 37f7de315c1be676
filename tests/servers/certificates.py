"""Certificates for test servers and clients, made at run time."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["HERE", "Authority", "Issued", "self_signed"]

HERE = ("localhost", "127.0.0.1", "127.0.0.2", "::1")
DAYS = (-1, 30)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A private CA of one test."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        made = _builder(name, name, self._key.public_key(), DAYS)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(_sign(made.add_extension(basic, critical=True), self._key)))

    def issue(self, name: str, hosts: Sequence[str] = HERE, days: tuple[int, int] = DAYS) -> Issued:
        """Issue a certificate for hosts, valid between two days counted from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(name, self._name, key.public_key(), days)
        made = made.add_extension(_alternatives(hosts), critical=False)
        return _write(self._folder, name, key, _sign(made, self._key))


def self_signed(folder: Path, name: str, hosts: Sequence[str] = HERE) -> Issued:
    """Make a certificate that no CA has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(name, name, key.public_key(), DAYS)
    made = made.add_extension(_alternatives(hosts), critical=False)
    return _write(folder, name, key, _sign(made, key))


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePublicKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
    )


def _sign(made: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return made.sign(key, hashes.SHA256())


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> Issued:
    issued = Issued(folder / f"{name}.crt", folder / f"{name}.key")
    issued.certificate.write_bytes(_pem(certificate))
    issued.key.touch(mode=0o600)
    issued.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return issued


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"airgap test {name}")])


def _alternatives(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_host(host) for host in hosts])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
