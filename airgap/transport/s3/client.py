"""Makes the library's clients, configured by the options alone and not by the environment."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airgap.errors import ConfigurationError
from airgap.transport.s3.errors import DEAD_PROXY
from airgap.transport.s3.options import S3Options

if TYPE_CHECKING:
    from obstore.store import (
        ClientConfig,
        ObjectStore,
        RetryConfig,
        S3Config,
        S3Credential,
        S3CredentialProvider,
    )

__all__ = ["make_client", "require_library"]

_FOREVER: Final = timedelta(days=365)
_CONNECT_SECONDS: Final = 20.0


def require_library() -> None:
    """Check that the library is installed.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        import obstore  # noqa: F401  (an optional extra)
    except ImportError as error:
        raise ConfigurationError(
            "Depots in object stores need the package obstore, which is not installed.",
            "Run: pip install 'bento-airgap[s3]'",
        ) from error


def make_client(
    options: S3Options, request_seconds: float | None = None, retries: int = 0
) -> "ObjectStore":
    """Make a client with its own connections.

    Args:
        options: the bucket.
        request_seconds: limit for a whole request; None for no limit as long as bytes arrive at
            least every ``options.timeout`` seconds.
        retries: how often the library repeats an interrupted request. Usually ``retry`` does that,
            but repeating one part of an upload costs less than repeating the upload.

    Raises:
        ConfigurationError: the CA file is invalid, or the environment is.
    """
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    client = _make_client_config(options, request_seconds)
    retry: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=request_seconds or options.timeout),
    }
    try:
        match options.scheme:
            case "gs":
                return GCSStore(options.bucket, client_options=client, retry_config=retry)
            case "az":
                return AzureStore(options.bucket, client_options=client, retry_config=retry)
            case "s3":
                return S3Store(
                    options.bucket,
                    config=_make_config(options),
                    client_options=client,
                    retry_config=retry,
                    credential_provider=_make_provider(options),
                )
    except (BaseError, ValueError):
        raise ConfigurationError(
            f"{options.url} cannot be opened with these options.",
            "Check endpoint, region, the CA's PEM file and the environment.",
        ) from None


def _make_config(options: S3Options) -> "S3Config":
    """Set everything that the library would otherwise take from ``AWS_*`` variables."""
    config: S3Config = {
        "endpoint": options.endpoint_url,
        "aws_endpoint_url_s3": options.endpoint_url,
        "region": options.region,
        "virtual_hosted_style_request": options.virtual_hosted,
        "skip_signature": options.keys is None,
        "unsigned_payload": False,
        "conditional_put": "etag",
        "disable_bulk_delete": True,  # not every server supports it
        "s3_express": False,
    }
    own = not options.endpoint
    if own if options.checksums is None else options.checksums:
        config["checksum_algorithm"] = "SHA256"
    return config


def _make_client_config(options: S3Options, request_seconds: float | None) -> "ClientConfig":
    client: ClientConfig = {
        "allow_http": options.unencrypted,
        "allow_invalid_certificates": False,
        "connect_timeout": timedelta(seconds=min(options.timeout, _CONNECT_SECONDS)),
        "timeout": _FOREVER if request_seconds is None else timedelta(seconds=request_seconds),
        "user_agent": "airgap",
    }
    if request_seconds is None:
        client["read_timeout"] = timedelta(seconds=options.timeout)
    if options.scheme == "s3":  # the library follows redirects: block those to other hosts
        client["proxy_url"] = f"http://{DEAD_PROXY}"
        client["proxy_excludes"] = options.host
    if options.ca_file is not None:
        client["root_certificate"] = _read_ca_file(options)
    return client


def _read_ca_file(options: S3Options) -> bytes:
    try:
        data = options.ca_file.read_bytes() if options.ca_file else b""
    except OSError as error:
        raise ConfigurationError(
            f"The CA file {options.ca_file} cannot be read ({error.strerror}).", "Check its path."
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise ConfigurationError(
            f"The CA file {options.ca_file} contains no certificate in PEM form.",
            "Convert it: openssl x509 -in FILE -inform DER -out FILE.pem",
        )
    return data


def _make_provider(options: S3Options) -> "S3CredentialProvider | None":
    """Provide the keys by a function, so that no variable can be mixed with them."""
    keys = options.keys
    if keys is None:
        return None

    def provide() -> "S3Credential":
        return {
            "access_key_id": keys.identity,
            "secret_access_key": keys.secret,
            "token": keys.token or None,
            "expires_at": None,
        }

    return provide
