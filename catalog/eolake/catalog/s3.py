"""One StoreConfig for every client of an S3 store: variables for GDAL and its relatives, a boto3 session, an endpoint for obstore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import StoreConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def bucket_of(config: StoreConfig) -> tuple[str, str]:
    """(bucket, prefix without slashes at its ends)"""
    bucket, _, prefix = config.url.removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def store_environment(config: StoreConfig) -> dict[str, str]:
    """The AWS_* variables with which GDAL, rasterio, datacube, titiler and boto3 reach the store; empty for a folder.

    Secrets stay where they are: in the usual variables, files or roles."""
    if config.folder is not None:
        return {}
    found = {"AWS_VIRTUAL_HOSTING": "FALSE" if config.path_style else "TRUE"}
    if config.region:
        found |= {"AWS_REGION": config.region, "AWS_DEFAULT_REGION": config.region}
    if config.profile:
        found["AWS_PROFILE"] = config.profile
    if config.endpoint:
        url = urlsplit(config.endpoint)
        found |= {
            "AWS_ENDPOINT_URL_S3": config.endpoint,
            "AWS_S3_ENDPOINT": url.netloc + url.path.rstrip("/"),
            "AWS_HTTPS": "NO" if url.scheme == "http" else "YES",
        }
    return found


def s3_client(config: StoreConfig) -> S3Client:
    """A boto3 client for the bucket of the store."""
    from botocore.config import Config

    client: S3Client = session(config).client(
        "s3",
        endpoint_url=config.endpoint,
        config=Config(s3={"addressing_style": "path" if config.path_style else "virtual"}, retries={"mode": "standard", "max_attempts": 5}),
    )
    return client


def session(config: StoreConfig) -> Any:
    """A boto3 session; ConfigError when the profile does not exist."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.Session(profile_name=config.profile, region_name=config.region)
    except ProfileNotFound as error:
        raise ConfigError(f"[store] profile: {error}") from error


def obstore_endpoint(config: StoreConfig, bucket: str) -> str:
    """obstore wants the bucket in the host name itself, when hosts are virtual."""
    url = urlsplit(config.endpoint or "")
    host = url.netloc if config.path_style else f"{bucket}.{url.netloc}"
    return f"{url.scheme}://{host}{url.path.rstrip('/')}"
