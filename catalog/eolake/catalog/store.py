"""The object store: a folder or S3 through obstore, one interface, from one StoreConfig.

Keys are immutable (they contain a revision): `put` creates and never overwrites.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from eolake.catalog.errors import EolakeError, Unreachable
from eolake.catalog.settings import StoreConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 8 * 2**20
"""Bytes hashed at a time."""


class Overwritten(EolakeError):
    """An object with other bytes is there already; keys are never written twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a listing tells."""

    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Objects by key below the URL of a StoreConfig."""

    config: StoreConfig
    backend: LocalStore | S3Store

    def put(self, key: str, body: bytes | Path) -> None:
        """Create an object; the same bytes again are no PUT, other bytes raise Overwritten."""
        try:
            obstore.put(self.backend, key, body, mode="create", use_multipart=False)
        except AlreadyExistsError:
            if multihash(self.get(key)) != multihash(body):
                raise Overwritten(f"{self.uri(key)} is there already with other bytes") from None
        except BaseError as error:
            raise Unreachable(f"could not write {self.uri(key)}: {error}") from error

    def get(self, key: str) -> bytes:
        """The bytes of an object; FileNotFoundError when it is absent."""
        return bytes(obstore.get(self.backend, key).bytes())

    def head(self, key: str) -> ObjectInfo:
        """Its size; FileNotFoundError when it is absent."""
        return ObjectInfo(key=key, size=obstore.head(self.backend, key)["size"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects below a prefix of whole path segments, in no particular order."""
        for batch in obstore.list(self.backend, prefix or None):
            for entry in batch:
                yield ObjectInfo(key=entry["path"], size=entry["size"])

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; absent ones are no error."""
        for key in keys:
            try:
                obstore.delete(self.backend, key)
            except FileNotFoundError:
                continue

    def delete_prefix(self, prefix: str) -> None:
        """Remove everything below a prefix, of a folder also what a killed writer left half-written."""
        folder = self.config.folder
        if folder is None:
            self.delete([found.key for found in self.list(prefix)])
            return
        shutil.rmtree(folder / prefix, ignore_errors=True)
        for parent in (folder / prefix).parents:
            if parent == folder or not parent.is_dir() or any(parent.iterdir()):
                return
            parent.rmdir()

    def uri(self, key: str) -> str:
        """`file:///folder/key` or `s3://bucket/prefix/key`."""
        return f"{self.config.url}/{key}"

    def gdal_path(self, key: str) -> str:
        """The same as GDAL names it: a path, or `/vsis3/bucket/prefix/key`."""
        folder = self.config.folder
        return str(folder / key) if folder else f"/vsis3/{self.config.url.removeprefix('s3://')}/{key}"

    def sync(self, prefix: str) -> None:
        """Make everything below a prefix survive a power cut: a folder store fsyncs files and folders, S3 does so by itself."""
        root = self.config.folder
        if root is None:
            return
        folder = root / prefix
        for entry in folder.iterdir():
            _fsync(entry)
        for parent in (folder, *folder.parents):
            _fsync(parent)
            if parent == root:
                return


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def multihash(body: bytes | Path) -> str:
    """sha2-256 of bytes or of a file as a multihash in hexadecimal: `1220…`."""
    digest = hashlib.sha256()
    if isinstance(body, Path):
        with body.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    else:
        digest.update(body)
    return f"1220{digest.hexdigest()}"


def open_store(config: StoreConfig) -> Store:
    """The store of a configuration; the folder of a `file:` store is made."""
    if config.folder is not None:
        config.folder.mkdir(parents=True, exist_ok=True)
        return Store(config=config, backend=LocalStore(prefix=config.folder))
    bucket, _, prefix = config.url.removeprefix("s3://").partition("/")
    options: dict[str, Any] = {"virtual_hosted_style_request": not (config.path_style or config.endpoint)}
    options |= {"region": config.region} if config.region else {}
    options |= {"endpoint": config.endpoint} if config.endpoint else {}
    if config.profile:
        # obstore does not read ~/.aws by itself.
        from boto3 import Session
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider(Session(profile_name=config.profile))
    client = {"allow_http": bool(config.endpoint and urlsplit(config.endpoint).scheme == "http")}
    return Store(config=config, backend=S3Store(bucket, prefix=prefix or None, client_options=client, **options))


def boto3_client(config: StoreConfig) -> S3Client:
    """A boto3 S3 client of the same configuration, for what obstore lacks."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(profile_name=config.profile, region_name=config.region)
    style = "path" if config.path_style or config.endpoint else "auto"
    return session.client("s3", endpoint_url=config.endpoint, config=Config(s3={"addressing_style": style}))


def store_environment(config: StoreConfig) -> Mapping[str, str]:
    """The variables from which GDAL, datacube, odc-stac and titiler learn the same store; empty for a folder."""
    if config.folder is not None:
        return {}
    found = {}
    if config.region:
        found["AWS_REGION"] = found["AWS_DEFAULT_REGION"] = config.region
    if config.profile:
        found["AWS_PROFILE"] = config.profile
    if config.path_style or config.endpoint:
        found["AWS_VIRTUAL_HOSTING"] = "FALSE"
    if config.endpoint:
        parts = urlsplit(config.endpoint)
        found |= {"AWS_S3_ENDPOINT": parts.netloc, "AWS_ENDPOINT_URL_S3": config.endpoint, "AWS_HTTPS": "NO" if parts.scheme == "http" else "YES"}
    return found
