"""The object store: a folder or an S3 bucket behind one StoreConfig.

Objects are written once: the same bytes again are no write, other bytes under a known key are an error. On a folder
nothing is durable before `sync`, which publishing calls ahead of its transaction.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import batched
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from eolake.catalog.errors import ConfigError, EolakeError, Transient
from eolake.catalog.s3 import bucket_of, obstore_endpoint, s3_client, session, store_environment
from eolake.catalog.settings import StoreConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef
    from obstore.store import LocalStore, S3Store

__all__ = [
    "MissingObject",
    "ObjectInfo",
    "Store",
    "bucket_of",
    "media_type",
    "multihash",
    "open_store",
    "s3_client",
    "store_environment",
]

CHUNK = 1 << 20
PRUNED = 100
"""Tries to write into a folder that others empty and remove at the same time."""
SINGLE_PUT = 5 << 30
"""Bytes; what S3 takes in one request."""
PARTS = 9000
"""Of a larger object; S3 takes 10,000."""
SMALLEST_PART = 64 << 20
NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}
"""Another file system, or one without links."""
MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".xml": "application/xml",
    ".txt": "text/plain; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}

log = logging.getLogger(__name__)


class MissingObject(EolakeError):
    """The object is not in the store; `eolake check` lists what else is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """One object of the store."""

    key: str
    size: int
    """bytes"""


def multihash(content: bytes | Path) -> str:
    """`1220` + sha2-256 in hex, as STAC's file:checksum has it."""
    if isinstance(content, bytes):
        return f"1220{hashlib.sha256(content).hexdigest()}"
    with content.open("rb") as file:
        return f"1220{hashlib.file_digest(file, 'sha256').hexdigest()}"


class Store(ABC):
    """What both kinds share; made by `open_store`, not thread-safe while writing one key."""

    def __init__(self, config: StoreConfig) -> None:
        self.config = config

    @property
    @abstractmethod
    def _objects(self) -> LocalStore | S3Store: ...

    def put(self, key: str, content: bytes | Path) -> None:
        """Write an object once. The same bytes there already: nothing is written; other bytes: EolakeError.

        A file is streamed: memory does not grow with it."""
        check_key(key)
        known = self.head(key)
        if known is None and self._create(key, content):
            return
        if not self._holds(key, content):
            raise EolakeError(f"{self.uri(key)} holds other bytes already; objects are never overwritten")

    def adopt(self, key: str, path: Path) -> None:
        """Write an object from a file that nobody changes any more; like `put`, but without a copy where a link will do."""
        self.put(key, path)

    def get(self, key: str) -> bytes:
        """The whole object; MissingObject when there is none."""
        with _translated(self.uri(key)):
            return bytes(self._objects_get(key).bytes())

    def chunks(self, key: str) -> Iterator[bytes]:
        """The object piece by piece; MissingObject when there is none."""
        with _translated(self.uri(key)):
            for chunk in self._objects_get(key).stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    def head(self, key: str) -> ObjectInfo | None:
        """Key and size; None when there is no such object."""
        import obstore

        try:
            with _translated(self.uri(key)):
                return ObjectInfo(key=key, size=obstore.head(self._objects, key)["size"])
        except MissingObject:
            return None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key begins with the path segments of `prefix`; in no order."""
        import obstore

        with _translated(self.uri(prefix)):
            for batch in obstore.list(self._objects, prefix or None):
                for entry in batch:
                    yield ObjectInfo(key=entry["path"], size=entry["size"])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are missing are deleted already."""
        import obstore

        for key in keys:
            check_key(key)
            try:
                with _translated(self.uri(key)):
                    obstore.delete(self._objects, key)
            except MissingObject:
                continue

    def delete_prefix(self, prefix: str) -> None:
        """Delete everything below a prefix of whole path segments, leftovers of killed writers too."""
        check_key(prefix)
        self.delete([entry.key for entry in self.list(prefix)])

    @abstractmethod
    def sync(self, prefix: str) -> None:
        """Everything below the prefix survives a power cut when this returns."""

    def uri(self, key: str) -> str:
        """`file:///folder/key` or `s3://bucket/prefix/key`"""
        return f"{self.config.url}/{key}" if key else self.config.url

    @abstractmethod
    def gdal_path(self, key: str) -> str:
        """How GDAL opens the object; for S3 with `store_environment` in its environment."""

    def checksum(self, key: str) -> str:
        """Multihash of the stored bytes, read piece by piece; MissingObject when there is none."""
        digest = hashlib.sha256()
        for chunk in self.chunks(key):
            digest.update(chunk)
        return f"1220{digest.hexdigest()}"

    def _objects_get(self, key: str) -> Any:
        import obstore

        return obstore.get(self._objects, key)

    @abstractmethod
    def _create(self, key: str, content: bytes | Path) -> bool:
        """Write; False when the key exists meanwhile."""

    def _holds(self, key: str, content: bytes | Path) -> bool:
        known = self.head(key)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        return known is not None and known.size == size and self.checksum(key) == multihash(content)


class FolderStore(Store):
    """Objects as files. A name with `#number` is an unfinished write; lists leave it out."""

    @property
    def folder(self) -> Path:
        """The root of the store."""
        folder = self.config.folder
        if folder is None:
            raise ConfigError(f"{self.config.url} is no folder")
        return folder

    @cached_property
    def _objects(self) -> LocalStore:
        from obstore.store import LocalStore

        return LocalStore(self.folder, mkdir=True)

    def gdal_path(self, key: str) -> str:
        """The path of the file."""
        return str(self.folder / key)

    def adopt(self, key: str, path: Path) -> None:
        """A second name for the file where both lie on one file system, else a copy."""
        check_key(key)
        target = self.folder / key
        for _ in range(PRUNED):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except FileExistsError:
                break
            except FileNotFoundError:
                if target.parent.is_dir():
                    raise
            except OSError as error:
                if error.errno not in NO_LINK:
                    raise
                break
            else:
                return
        self.put(key, path)

    def sync(self, prefix: str) -> None:
        """Flush the files below the prefix, their folders, and the folders above up to the root; MissingObject when there is none."""
        top = self.folder / prefix
        if not top.is_dir():
            raise MissingObject(f"{self.uri(prefix)} is not there")
        for folder, _, names in os.walk(top):
            for name in names:
                _flush(Path(folder) / name)
            _flush(Path(folder))
        while top != self.folder:
            top = top.parent
            _flush(top)

    def delete_prefix(self, prefix: str) -> None:
        """Delete the folder of that prefix and the folders above that became empty."""
        check_key(prefix)
        top = self.folder / prefix
        shutil.rmtree(top, ignore_errors=not top.exists())
        while (top := top.parent) != self.folder:
            try:
                top.rmdir()
            except OSError:
                return  # not empty

    def _create(self, key: str, content: bytes | Path) -> bool:
        """Write under a name of its own, then link: the key appears whole, and only one writer wins."""
        target = self.folder / key
        for _ in range(PRUNED):
            try:
                return _link(target, content)
            except (FileNotFoundError, FileExistsError):
                if target.parent.is_dir():
                    raise  # no other process pruned the folder: the content itself is missing
        raise Transient(f"{self.uri(key)}: its folder goes away again and again")


class BucketStore(Store):
    """Objects in S3 or a service that speaks it."""

    single_put = SINGLE_PUT
    """Bytes; a larger object goes in parts."""
    smallest_part = SMALLEST_PART

    @cached_property
    def _objects(self) -> S3Store:
        from obstore.auth.boto3 import Boto3CredentialProvider
        from obstore.store import S3Store

        bucket, prefix = bucket_of(self.config)
        login = session(self.config)
        if login.get_credentials() is None:
            raise ConfigError(f"no credentials for {self.config.url}: set AWS_ACCESS_KEY_ID, or name a profile in [store]")
        options: dict[str, Any] = {"virtual_hosted_style_request": not self.config.path_style}
        if self.config.endpoint:
            options["endpoint"] = obstore_endpoint(self.config, bucket)
        region = self.config.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return S3Store(
            bucket,
            prefix=prefix or None,
            region=region,
            client_options={"allow_http": True},
            credential_provider=Boto3CredentialProvider(login),
            **options,
        )

    @cached_property
    def _client(self) -> S3Client:
        return s3_client(self.config)

    def sync(self, prefix: str) -> None:
        """S3 promises with each write that it lasts."""

    def gdal_path(self, key: str) -> str:
        """`/vsis3/bucket/prefix/key`"""
        return f"/vsis3/{self.uri(key).removeprefix('s3://')}"

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, a thousand in one request; those that are missing are deleted already."""
        import obstore

        for batch in batched(keys, 1000):
            for key in batch:
                check_key(key)
            with _translated(self.uri(batch[0])):
                obstore.delete(self._objects, list(batch))

    def _create(self, key: str, content: bytes | Path) -> bool:
        if isinstance(content, bytes):
            return self._put(key, content)
        if content.stat().st_size > self.single_put:
            return self._put_parts(key, content)
        with content.open("rb") as file:  # obstore would read all of it into memory
            return self._put(key, file)

    def _put(self, key: str, body: bytes | IO[bytes]) -> bool:
        bucket, name = self._place(key)
        return self._new(
            key, lambda: self._client.put_object(Bucket=bucket, Key=name, Body=body, IfNoneMatch="*", ContentType=media_type(key))
        )

    def _put_parts(self, key: str, content: Path) -> bool:
        """In several requests; nothing is visible before the last one."""
        bucket, name = self._place(key)
        size = max(self.smallest_part, -(-content.stat().st_size // PARTS))
        upload = self._client.create_multipart_upload(Bucket=bucket, Key=name, ContentType=media_type(key))["UploadId"]

        def send() -> None:
            parts: list[CompletedPartTypeDef] = []
            with content.open("rb") as file:
                while piece := file.read(size):
                    number = len(parts) + 1
                    sent = self._client.upload_part(Bucket=bucket, Key=name, UploadId=upload, PartNumber=number, Body=piece)
                    parts.append({"ETag": sent["ETag"], "PartNumber": number})
            self._client.complete_multipart_upload(
                Bucket=bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )

        done = False
        try:
            done = self._new(key, send)
        finally:
            if not done:
                self._abort(bucket, name, upload)
        return done

    def _abort(self, bucket: str, name: str, upload: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload)
        except (BotoCoreError, ClientError) as error:
            log.warning("s3://%s/%s: an unfinished upload stays until its prefix is swept: %s", bucket, name, error)

    def delete_prefix(self, prefix: str) -> None:
        """Delete everything below a prefix of whole path segments, uploads that were never finished too."""
        super().delete_prefix(prefix)
        bucket, name = self._place(prefix)
        for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=f"{name}/"):
            for upload in page.get("Uploads", ()):
                self._abort(bucket, upload["Key"], upload["UploadId"])

    def _place(self, key: str) -> tuple[str, str]:
        """Bucket, and the key within it."""
        bucket, _ = bucket_of(self.config)
        return bucket, self.uri(key).removeprefix(f"s3://{bucket}/")

    def _new(self, key: str, write: Callable[[], object]) -> bool:
        """Run a conditional write; False when the object exists."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            write()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
                return False
            raise _client_error(self.uri(key), error) from error
        except NoCredentialsError as error:
            raise ConfigError(f"{self.uri(key)}: {error}") from error
        except BotoCoreError as error:
            raise Transient(f"{self.uri(key)}: {error}") from error
        return True


def open_store(config: StoreConfig) -> Store:
    """The store of a lake; nothing is contacted yet."""
    if config.folder is not None:
        return FolderStore(config)
    if config.url.startswith("s3://"):
        return BucketStore(config)
    raise ConfigError(f"a store is file:///folder or s3://bucket/prefix, not {config.url}")


def check_key(key: str) -> None:
    """ValueError unless the key is a plain relative path: no empty, `.` or `..` segment, no control character, no `#`.

    Nor may it end like a drive of Windows (`a:`, `a|`): obstore then looks for a folder."""
    strange = not key.isprintable() or "#" in key or "\\" in key or key.endswith((":", "|"))
    if strange or any(part in {"", ".", ".."} for part in key.split("/")):
        raise ValueError(f"{key!r} is no object key")


def media_type(key: str) -> str:
    """Content type by the ending of the key."""
    name = Path(key)
    return "application/geo+json" if name.name == "item.json" else MEDIA_TYPES.get(name.suffix.lower(), "application/octet-stream")


def _client_error(where: str, error: Any) -> EolakeError:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status in {401, 403, 404}:
        return ConfigError(f"{where}: {error}; check bucket, credentials and [store] in eolake.toml")
    return Transient(f"{where}: {error}")


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """obstore's errors as ours."""
    from obstore import exceptions

    try:
        yield
    except (FileNotFoundError, exceptions.NotFoundError) as error:
        raise MissingObject(f"{where} is not there") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise ConfigError(f"{where} may not be used: {error}; check the credentials") from error
    except exceptions.GenericError as error:
        raise Transient(f"{where}: {error}") from error


# --- files ---


def _link(target: Path, content: bytes | Path) -> bool:
    """Fill a file of its own name in the target's folder, then link it; False when the target exists."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}#{secrets.randbits(48)}")
    try:
        _fill(draft, content)
        os.link(draft, target)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _fill(draft: Path, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        draft.write_bytes(content)
    else:
        shutil.copyfile(content, draft)  # inside the kernel, not through our memory


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
