"""Time stamps (RFC 3161) by rfc3161-client: requests, responses, and whose they are (format §33.2).

The package is the extra ``timestamps``, and is imported where it is used. It is given one trusted
certificate at a time: what it gets beside that, OpenSSL would trust as well.
"""

import hashlib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from airgap.errors import AirgapError, ConfigurationError, CorruptError
from airgap.format import limits
from airgap.format.site_rules import TimestampAuthority
from airgap.printable import make_printable

__all__ = [
    "Authorities",
    "Imprint",
    "Stamp",
    "StampRequest",
    "decode_stamp",
    "demand_library",
    "encode_certificate",
    "gather_authorities",
    "make_request",
    "read_request",
]

Imprint = Literal["sha256", "sha512"]
_OIDS: Final[dict[str, Imprint]] = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_SHA256: Final = hashes.SHA256()
_GRANTED: Final = 0
_STATUSES: Final = {
    1: "granted with modifications",
    2: "rejected",
    3: "waiting",
    4: "warning of a revocation",
    5: "revoked",
}
_CLOCKS_DIFFER: Final = 86_400
"""How many seconds a stamp may be from the future (format §33.2, rule 6)."""
_REASON_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class StampRequest:
    """A request: its bytes, the imprint that it asks for, and the nonce that comes back."""

    raw: bytes
    imprint: bytes
    nonce: int | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """A response that an authority granted. Who signed it, and over what, is still to be checked.

    ``time`` and ``latest`` are in seconds since 1970: the time in it without its fraction, and one
    second more plus its accuracy.
    ``expires`` is when the certificate of the signer ends; None if the response has none.
    """

    raw: bytes
    time: int
    latest: int
    hash: Imprint
    imprint: bytes
    nonce: int | None
    signer: str
    expires: int | None

    def fits(self, data: bytes) -> bool:
        """Tell whether it is over these bytes."""
        return hashlib.new(self.hash, data).digest() == self.imprint


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities of a root, with the certificates that were there.

    Fields are made by ``gather_authorities``.
    """

    rules: tuple[TimestampAuthority, ...]
    certificates: dict[bytes, x509.Certificate]
    """Self-signed ones, by their SHA-256."""
    intermediates: tuple[x509.Certificate, ...]

    @property
    def missing(self) -> list[bytes]:
        """The SHA-256 of each authority's certificate that was not there."""
        return [
            rule.certificate for rule in self.rules if rule.certificate not in self.certificates
        ]

    def judge(self, stamp: Stamp, data: bytes, now: int) -> TimestampAuthority | str:
        """Return the authority that a stamp counts for, or why it does not count (format §33.2).

        Args:
            stamp: the stamp.
            data: what it must be over.
            now: seconds since 1970, by this machine's clock and the time floor.
        """
        if not stamp.fits(data):
            return "it is over other bytes"
        if stamp.time > now + _CLOCKS_DIFFER:
            return "it is from the future"
        problem = "the root names no authority for time stamps"
        for rule in self.rules:
            certificate = self.certificates.get(rule.certificate)
            if certificate is None:
                problem = f"the certificate {rule.certificate.hex()} is not beside it"
                continue
            refusal = self._verify(stamp, certificate)
            if refusal is not None:
                problem = refusal
            elif rule.start is not None and stamp.time < rule.start:
                return "it is dated before its authority's time in the root begins"
            elif rule.end is not None and stamp.latest > rule.end:
                return "it is dated after its authority's time in the root has ended"
            else:
                return rule
        return problem

    def _verify(self, stamp: Stamp, authority: x509.Certificate) -> str | None:
        """Verify signature and chain at the time of the stamp; return what is wrong."""
        client = demand_library()
        others = [one for one in self.intermediates if one != authority]
        verifier = client.VerifierBuilder(roots=[authority], intermediates=others).build()
        try:
            with _parsing():
                response = client.decode_timestamp_response(stamp.raw)
                verifier.verify(response, stamp.imprint)
        except ValueError:  # its words are OpenSSL's
            digest = authority.fingerprint(_SHA256).hex()
            return f"no valid certificate of the authority {digest} made it"
        return None


def demand_library() -> ModuleType:
    """Import rfc3161-client.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import rfc3161_client
    except ImportError as error:
        raise ConfigurationError(
            "Time stamps need the package rfc3161-client, which is not installed.",
            "Install airgap with the extra: pip install 'bento-airgap[timestamps]'.",
        ) from error
    return rfc3161_client


def make_request(data: bytes, algorithm: Imprint = "sha256") -> StampRequest:
    """Make a request with a random nonce that asks for the signer's certificate.

    Raises:
        ConfigurationError: rfc3161-client is not installed.
    """
    client = demand_library()
    builder = client.TimestampRequestBuilder().data(data).nonce(nonce=True)
    builder = builder.hash_algorithm(client.HashAlgorithm[algorithm.upper()])
    request = builder.cert_request(cert_request=True).build()
    return StampRequest(request.as_bytes(), request.message_imprint.message, request.nonce)


def read_request(raw: bytes, name: str) -> StampRequest:
    """Read a request that was written before; ``name`` is its path, for messages.

    Raises:
        ConfigurationError: rfc3161-client is not installed.
        CorruptError: it is not a request.
    """
    demand_library()
    from rfc3161_client._rust import parse_timestamp_request

    try:
        with _parsing():
            request: Any = parse_timestamp_request(raw)
            return StampRequest(raw, request.message_imprint.message, request.nonce)
    except ValueError as error:
        raise CorruptError(
            f"{name} is not a request for a time stamp.", "Give the file that --request wrote."
        ) from error


def decode_stamp(raw: bytes, name: str) -> Stamp:
    """Decode a response that was granted; ``name`` says where it is from, for messages.

    Raises:
        ConfigurationError: rfc3161-client is not installed.
        CorruptError: it is not a response, has bytes after its end, or is not granted.
    """
    if len(raw) > limits.TIME_STAMP_BYTES:
        raise _refuse(name, f"has more than {limits.TIME_STAMP_BYTES:,} bytes")
    client = demand_library()
    try:
        with _parsing():
            response: Any = client.decode_timestamp_response(raw)
            if response.status != _GRANTED:
                raise _refuse(name, _describe_status(response))
            if response.as_bytes() != raw:
                raise _refuse(name, "is not in the one form that is read")
            return _make_stamp(response, raw, name)
    except ValueError as error:
        raise _refuse(name, "is not a response with a time stamp") from error


def _make_stamp(response: Any, raw: bytes, name: str) -> Stamp:  # noqa: ANN401  (of the library)
    info = response.tst_info
    algorithm = _OIDS.get(info.message_imprint.hash_algorithm.dotted_string)
    if algorithm is None:
        raise _refuse(name, "is over a digest other than SHA-256 and SHA-512")
    moment, signer = int(info.gen_time.timestamp()), _find_signer(response)
    if signer is None:
        raise _refuse(name, "does not have exactly one signer with its certificate")
    return Stamp(
        raw,
        moment,
        moment + 1 + math.ceil(_read_accuracy(info.accuracy)),  # the library drops fractions
        algorithm,
        info.message_imprint.message,
        info.nonce,
        make_printable(signer.subject.rfc4514_string())[:_REASON_CHARACTERS],
        int(signer.not_valid_after_utc.timestamp()),
    )


def _find_signer(response: Any) -> x509.Certificate | None:  # noqa: ANN401  (of the library)
    """Return the one certificate that is the signer's by issuer and serial number.

    Of two, the library would check one, and OpenSSL the signature of the other.
    """
    data = response.signed_data
    signers = [(one.issuer, one.serial_number) for one in data.signer_infos]
    certificates = map(x509.load_der_x509_certificate, data.certificates)
    own = [one for one in certificates if (one.issuer, one.serial_number) in signers]
    return own[0] if len(signers) == len(own) == 1 else None


def _read_accuracy(accuracy: Any) -> float:  # noqa: ANN401  (of the library)
    """Return the accuracy in seconds; 0 if the stamp names none."""
    if accuracy is None:
        return 0.0
    parts = accuracy.seconds, accuracy.millis, accuracy.micros
    return sum((part or 0) / unit for part, unit in zip(parts, (1, 1e3, 1e6), strict=True))


def _describe_status(response: Any) -> str:  # noqa: ANN401  (of the library)
    status = _STATUSES.get(response.status, str(response.status))
    texts = " ".join(map(str, response.status_string))
    reason = f" ({make_printable(texts)[:_REASON_CHARACTERS]})" if texts else ""
    return f"was not granted: {status}{reason}"


def _refuse(name: str, problem: str) -> CorruptError:
    return CorruptError(f"{name} {problem}.", "Ask the authority for another time stamp.")


@contextmanager
def _parsing() -> Iterator[None]:
    """Parse bytes of strangers with the libraries, whose many errors and warnings are one here.

    Raises:
        ValueError: they cannot be parsed, or the library panics (which is a ``BaseException``).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AirgapError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError("the libraries cannot parse it") from error


def _read_certificate(data: bytes) -> x509.Certificate:
    """Read a certificate, in PEM or DER. Raises ValueError."""
    if len(data) > limits.CERTIFICATE_BYTES:
        raise ValueError("too long")
    with _parsing():
        if data.startswith(b"-----BEGIN"):
            certificate = x509.load_pem_x509_certificate(data)
        else:
            certificate = x509.load_der_x509_certificate(data)
        # They are parsed when they are asked for.
        _ = certificate.subject, certificate.issuer, certificate.not_valid_after_utc
    return certificate


def encode_certificate(data: bytes, name: str) -> tuple[bytes, bytes]:
    """Return the SHA-256 of a certificate in PEM or DER, and its PEM.

    Raises:
        CorruptError: ``name`` is not the path of a certificate.
    """
    try:
        certificate = _read_certificate(data)
    except ValueError as error:
        raise CorruptError(
            f"{name} is not a certificate.", "Give one certificate, as PEM or DER."
        ) from error
    return certificate.fingerprint(_SHA256), certificate.public_bytes(Encoding.PEM)


def gather_authorities(
    rules: Sequence[TimestampAuthority], files: Iterable[tuple[bytes, bytes]]
) -> Authorities:
    """Match the certificates beside some stamps with the authorities of a root.

    Args:
        rules: the authorities.
        files: SHA-256 and bytes of each certificate. Nothing is trusted because it is among them.
    """
    certificates: dict[bytes, x509.Certificate] = {}
    intermediates = []
    wanted = {rule.certificate for rule in rules}
    for digest, data in files:
        try:
            certificate = _read_certificate(data)
            is_own = certificate.subject == certificate.issuer
        except ValueError:
            continue
        if hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest() != digest:
            continue
        if not is_own:
            intermediates.append(certificate)
        elif digest in wanted:  # OpenSSL would trust any self-signed one
            certificates[digest] = certificate
    return Authorities(tuple(rules), certificates, tuple(intermediates))
