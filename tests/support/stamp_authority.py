"""An authority for time stamps (RFC 3161) that is made at run time, with a clock of its own."""

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import Any

import rfc3161_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rfc3161_client._rust import parse_timestamp_request

DAY = 86_400
YEAR = 365 * DAY
OIDS = {"sha256": "2.16.840.1.101.3.4.2.1", "sha512": "2.16.840.1.101.3.4.2.3"}


def der(tag: int, *parts: bytes) -> bytes:
    """Encode a value."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytes([first * 40 + second])
    for part in rest:
        digits = [part & 127]
        while part := part >> 7:
            digits.append(128 | part & 127)
        content += bytes(reversed(digits))
    return der(6, content)


def algorithm(dotted: str) -> bytes:
    return der(0x30, oid(dotted), der(5))


def generalized(at: float) -> bytes:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    fraction = f".{moment.microsecond:06}".rstrip("0").rstrip(".")
    return der(0x18, f"{moment:%Y%m%d%H%M%S}{fraction}Z".encode())


@dataclass
class StampAuthority:
    """An authority whose CA lives for ``years``; its own certificate from ``start`` to ``end``."""

    name: str = "Test"
    start: int = 0
    end: int = 4 * YEAR
    years: int = 60
    is_critical: bool = True
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING
    serial: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        self.ca_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.ca = self._certify(f"{self.name} CA", self.ca_key, (0, self.years * YEAR), None)
        self.certificate = self._certify(
            f"{self.name} TSA", self.key, (self.start, self.end), self.usage
        )

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the certificate of the CA, as a root has it."""
        return self.ca.fingerprint(hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """The certificate of the CA."""
        return self.ca.public_bytes(Encoding.PEM)

    def stamp(self, data: bytes, at: float, name: str = "sha256", **changes: Any) -> bytes:  # noqa: ANN401  (of `answer`)
        """Answer a request for a stamp over ``data``, made at ``at``."""
        builder = rfc3161_client.TimestampRequestBuilder().data(data).nonce(nonce=True)
        kind = rfc3161_client.HashAlgorithm[name.upper()]
        request = builder.hash_algorithm(kind).cert_request(cert_request=True).build()
        return self.answer(request.as_bytes(), at, **changes)

    def answer(
        self,
        query: bytes,
        at: float,
        status: int = 0,
        nonce: int | None = None,
        accuracy: int | None = 1,
        extra: tuple[x509.Certificate, ...] = (),
    ) -> bytes:
        """Answer a request."""
        request = parse_timestamp_request(query)
        imprint = request.message_imprint
        self.serial += 1
        info = der(
            0x30,
            integer(1),
            oid("1.2.3.4.1"),
            der(
                0x30,
                algorithm(imprint.hash_algorithm.dotted_string),
                der(4, imprint.message),
            ),
            integer(self.serial),
            generalized(at),
            b"" if accuracy is None else der(0x30, integer(accuracy)),
            integer((request.nonce or 0) if nonce is None else nonce),
        )
        if status > 1:
            return der(0x30, der(0x30, integer(status), der(0x30, der(12, b"\x1b[2Jno"))))
        return der(0x30, der(0x30, integer(status)), self._sign(info, extra))

    def _sign(self, info: bytes, extra: tuple[x509.Certificate, ...]) -> bytes:
        """Make the signed data of CMS around a TSTInfo."""
        content = "1.2.840.113549.1.9.16.1.4"
        own = self.certificate.public_bytes(Encoding.DER)
        certificate_id = der(0x30, der(4, hashlib.sha256(own).digest()))
        attributes = sorted(
            [
                _attribute("1.2.840.113549.1.9.3", oid(content)),
                _attribute("1.2.840.113549.1.9.4", der(4, hashlib.sha256(info).digest())),
                _attribute("1.2.840.113549.1.9.16.2.47", der(0x30, der(0x30, certificate_id))),
            ]
        )
        signature = self.key.sign(der(0x31, *attributes), ec.ECDSA(hashes.SHA256()))
        signer = der(
            0x30,
            integer(1),
            der(
                0x30,
                self.certificate.issuer.public_bytes(),
                integer(self.certificate.serial_number),
            ),
            algorithm(OIDS["sha256"]),
            der(0xA0, *attributes),
            der(0x30, oid("1.2.840.10045.4.3.2")),
            der(4, signature),
        )
        certificates = sorted(one.public_bytes(Encoding.DER) for one in (self.certificate, *extra))
        data = der(
            0x30,
            integer(3),
            der(0x31, algorithm(OIDS["sha256"])),
            der(0x30, oid(content), der(0xA0, der(4, info))),
            der(0xA0, *certificates),
            der(0x31, signer),
        )
        return der(0x30, oid("1.2.840.113549.1.7.2"), der(0xA0, data))

    def _certify(
        self,
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        valid: tuple[int, int],
        usage: x509.ObjectIdentifier | None,
        serial: int | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(f"{self.name} CA"))
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(_moment(valid[0]))
            .not_valid_after(_moment(valid[1]))
            .add_extension(x509.BasicConstraints(usage is None, None), critical=True)
        )
        if usage is not None:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([usage]), critical=self.is_critical
            )
        return builder.sign(self.ca_key, hashes.SHA256())


def _attribute(dotted: str, value: bytes) -> bytes:
    return der(0x30, oid(dotted), der(0x31, value))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _moment(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)
