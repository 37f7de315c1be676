import pytest

from airgap.errors import ConfigurationError
from airgap.transport.s3.options import S3Keys, S3Options


def test_without_an_endpoint_it_is_amazon() -> None:
    options = S3Options("models", "ward/a", region="eu-central-1")

    assert options.endpoint_url == "https://s3.eu-central-1.amazonaws.com"


def test_china_has_another_domain() -> None:
    options = S3Options("models", region="cn-north-1")

    assert options.endpoint_url == "https://s3.cn-north-1.amazonaws.com.cn"


def test_a_bucket_can_be_part_of_the_host() -> None:
    options = S3Options("models", endpoint="https://s3.ward:8443/", virtual_hosted=True)

    assert options.endpoint_url == "https://models.s3.ward:8443"


def test_the_url_is_without_keys() -> None:
    options = S3Options("models", "ward", keys=S3Keys("hidden", "hidden", "hidden"))

    assert options.url == "s3://models/ward"
    assert "hidden" not in repr(options)


@pytest.mark.parametrize(
    "endpoint",
    [
        "s3.ward",
        "ftp://s3.ward",
        "https://",
        "https://s3.ward/path",
        "https://s3.ward?x",
        "https://s3.ward#x",
        "https://s3.ward:port",
        "https://s3.ward:0",
        "https://[::1",
        "https://s3..ward",
        "https://.ward",
        f"https://{'a' * 64}.ward",
        f"https://{'a.' * 130}ward",
        "https://s3 ward",
        "https://s3\x7fward",
        "https://bücher.ward",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint"):
        S3Options("models", endpoint=endpoint)


def test_an_endpoint_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        S3Options("models", endpoint="https://me:hidden@s3.ward")

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("bucket", ["", "a", "a/b", "-a", "a b", "a" * 64, "a\n"])
def test_what_is_no_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="bucket"):
        S3Options(bucket)


@pytest.mark.parametrize(
    ("bucket", "endpoint"),
    [
        ("my..bucket", "https://s3.ward"),
        ("bucket.", "https://s3.ward"),
        ("bucket", "https://[::1]:9"),
        ("b" * 63, f"https://{'s3.' * 64}ward"),
    ],
)
def test_a_bucket_that_cannot_be_in_a_host_name_is_refused_there(
    bucket: str, endpoint: str
) -> None:
    assert S3Options(bucket, endpoint=endpoint).endpoint_url == endpoint
    with pytest.raises(ConfigurationError, match="cannot be part of the host name"):
        S3Options(bucket, endpoint=endpoint, virtual_hosted=True)


def test_a_host_may_end_with_a_dot() -> None:
    assert S3Options("models", endpoint="https://s3.ward.:8443").endpoint_url


@pytest.mark.parametrize("region", ["", "a b", "a.b", "x" * 64])
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(ConfigurationError, match="region"):
        S3Options("models", region=region)


@pytest.mark.parametrize("prefix", ["/", "/a", "a/", "a//b", "..", "a/./b"])
def test_what_is_no_folder_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="folder"):
        S3Options("models", prefix)


def test_plain_http_to_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not encrypted"):
        S3Options("models", endpoint="http://s3.ward")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.9.9.9:9000"])
def test_plain_http_within_this_machine_is_fine(host: str) -> None:
    assert S3Options("models", endpoint=f"http://{host}").unencrypted


def test_plain_http_can_be_allowed() -> None:
    assert S3Options("models", endpoint="http://s3.ward", insecure_http=True).unencrypted
