"""Buckets and folders as the ends of an archive."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.hyp3 import ABSENT, DENIED
from eolake.ingest.providers.hyp3_archive import Denied, Found, Wanted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1 << 20
SINGLE = 5 * 1024 * MIB
"""Bytes that one request may copy at most."""
PART = 100 * MIB
PARTS = 10_000
BUFFER = MIB
NOTE = "eolake-source-etag"
"""Metadata of objects that were copied with other parts than their source has."""
LEDGER = ".eolake-mirror.json"


class S3Source:
    """Buckets of jobs."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def objects(self, bucket: str, stem: str, keys: Sequence[str]) -> Mapping[str, Found]:
        """By one listing for a product; what it lacks, or may not be listed, is looked for by its key.

        Where listing is not allowed, S3 says of what is not there that it is denied: so Denied only when nothing can be read."""
        wanted = set(keys)
        try:
            found = {key: one for key, one in listing(self._client, bucket, stem) if key in wanted}
        except Denied:
            found = {}
        refused: Denied | None = None
        for key in sorted(wanted - set(found)):
            try:
                one = head(self._client, bucket, key)
            except Denied as error:
                refused = error
            else:
                found |= {key: one} if one is not None else {}
        if refused is not None and not found:
            raise refused
        return found


class S3Target:
    """A prefix of a bucket; copies are made by S3 itself, with the parts of the source, so that their ETags are equal."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, *, part: int = PART, single: int = SINGLE) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix.strip("/")
        self._part, self._single = part, single

    def listing(self) -> Mapping[str, Found]:
        """All objects below the prefix."""
        start = f"{self._prefix}/" if self._prefix else ""
        return {key.removeprefix(start): found for key, found in listing(self._client, self._bucket, start)}

    def look(self, name: str) -> Found | None:
        """One object, that the listing did not have."""
        return head(self._client, self._bucket, self._key(name))

    def same(self, name: str, there: Found, source: Found) -> bool:
        """By ETag; where parts differ, by the source's ETag as it was noted. Without a note (another program's copy) the size has to do."""
        if there.etag == source.etag:
            return True
        if not _parts(there.etag) and not _parts(source.etag):
            return False
        noted = self._client.head_object(Bucket=self._bucket, Key=self._key(name)).get("Metadata", {}).get(NOTE)
        return noted is None or noted == source.etag

    def copy(self, wanted: Wanted, source: Found) -> int:
        """Within S3; the copy's size and ETag are compared with the source's."""
        with _faults(f"s3://{wanted.bucket}/{wanted.key}"):
            size = self._layout(wanted, source)
            match: dict[str, Any] = {"CopySourceIfMatch": source.etag} if source.etag else {}
            if size is None:
                self._client.copy_object(
                    Bucket=self._bucket,
                    Key=self._key(wanted.name),
                    CopySource={"Bucket": wanted.bucket, "Key": wanted.key},
                    **match,
                )
            else:
                self._copy_parts(wanted, source, size)
            made = self._client.head_object(Bucket=self._bucket, Key=self._key(wanted.name))
        if made["ContentLength"] != source.size or not self.same(wanted.name, _found(made), source):
            raise ProviderFault(
                f"the copy of {wanted.name} has {made['ContentLength']} bytes of {source.size} or another ETag", Kind.CORRUPT
            )
        return source.size

    def download(self, wanted: Wanted) -> int:
        """Through this machine."""
        with tempfile.TemporaryDirectory(prefix="eolake-mirror-") as folder:
            file = Path(folder, "file")
            count = fetch(wanted, file)
            with _faults(wanted.name):
                self._client.upload_file(str(file), self._bucket, self._key(wanted.name))
        return count

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _layout(self, wanted: Wanted, source: Found) -> int | None:
        """Bytes of a part; None: in one piece, as the source was made."""
        count = _parts(source.etag)
        if not count:
            return None if source.size <= self._single else max(self._part, math.ceil(source.size / PARTS))
        first = self._client.head_object(Bucket=wanted.bucket, Key=wanted.key, PartNumber=1)["ContentLength"]
        uniform = 0 < first <= self._single and math.ceil(source.size / first) == count
        return first if uniform else max(self._part, math.ceil(source.size / PARTS))

    def _copy_parts(self, wanted: Wanted, source: Found, size: int) -> None:
        place: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(wanted.name)}
        told = self._client.head_object(Bucket=wanted.bucket, Key=wanted.key)
        metadata = {**told.get("Metadata", {}), NOTE: source.etag or ""}
        match: dict[str, Any] = {"CopySourceIfMatch": source.etag} if source.etag else {}
        upload = self._client.create_multipart_upload(
            **place, ContentType=told.get("ContentType", "binary/octet-stream"), Metadata=metadata
        )
        place["UploadId"] = upload["UploadId"]
        try:
            made: list[Any] = []
            for number, start in enumerate(range(0, source.size, size), 1):
                answer = self._client.upload_part_copy(
                    **place,
                    PartNumber=number,
                    CopySource={"Bucket": wanted.bucket, "Key": wanted.key},
                    CopySourceRange=f"bytes={start}-{min(start + size, source.size) - 1}",
                    **match,
                )
                made.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            self._client.complete_multipart_upload(**place, MultipartUpload={"Parts": made})
        except BaseException:
            with contextlib.suppress(Exception):  # the bucket's lifecycle sweeps what is left
                self._client.abort_multipart_upload(**place)
            raise


class FolderTarget:
    """A folder; each file appears whole, by a rename. The ETags of the sources are kept in a file beside them."""

    def __init__(self, folder: Path, client: S3Client) -> None:
        """`client`: to read the buckets."""
        self._folder, self._client = folder, client
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def listing(self) -> Mapping[str, Found]:
        """Its files, with the ETags of what they were made from; of a file that changed since then without."""
        noted = self._noted()
        found = {}
        for path in self._folder.iterdir():
            if path.is_file() and not path.name.startswith(".") and not path.name.endswith(".part"):
                stat = path.stat()
                known = noted.get(path.name, {})
                etag = known.get("etag") if known.get("size") == stat.st_size and known.get("time") == stat.st_mtime_ns else None
                found[path.name] = Found(size=stat.st_size, etag=etag)
        return found

    def look(self, name: str) -> Found | None:
        """Nothing: a folder is listed whole."""
        _ = name
        return None

    def same(self, name: str, there: Found, source: Found) -> bool:
        """By the noted ETag, else by that of the file itself where it can be computed."""
        if there.etag is not None or source.etag is None:
            return source.etag is None or there.etag == source.etag
        if etag_of(self._folder / name, _part_size(source)) != source.etag and not _parts(source.etag):
            return False
        self._note(name, source.etag)
        return True

    def copy(self, wanted: Wanted, source: Found) -> int:
        """From the bucket: the very object that was listed, its size and where it has one its MD5 compared."""
        part = self._folder / f"{wanted.name}.part"
        with _faults(f"s3://{wanted.bucket}/{wanted.key}"):
            match: dict[str, Any] = {"IfMatch": source.etag} if source.etag else {}
            body = self._client.get_object(Bucket=wanted.bucket, Key=wanted.key, **match)["Body"]
            with contextlib.closing(body), part.open("wb") as file:
                for data in iter(lambda: body.read(BUFFER), b""):
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
        size = part.stat().st_size
        if size != source.size or (source.etag and not _parts(source.etag) and etag_of(part, None) != source.etag):
            part.unlink()
            raise ProviderFault(f"{wanted.name} came with {size} bytes of {source.size} or another digest", Kind.CORRUPT)
        self._place(part, wanted.name, source.etag)
        return size

    def download(self, wanted: Wanted) -> int:
        """From its URL."""
        part = self._folder / f"{wanted.name}.part"
        count = fetch(wanted, part)
        self._place(part, wanted.name, None)
        return count

    def _place(self, part: Path, name: str, etag: str | None) -> None:
        part.replace(self._folder / name)
        self._note(name, etag)

    def _note(self, name: str, etag: str | None) -> None:
        stat = (self._folder / name).stat()
        with self._lock:
            noted = {**self._noted(), name: {"etag": etag, "size": stat.st_size, "time": stat.st_mtime_ns}}
            file = self._folder / f"{LEDGER}.new"
            file.write_text(json.dumps(noted))
            file.replace(self._folder / LEDGER)

    def _noted(self) -> dict[str, Any]:
        try:
            noted = json.loads((self._folder / LEDGER).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}


def listing(client: S3Client, bucket: str, prefix: str) -> Iterator[tuple[str, Found]]:
    """All objects below a prefix. A truncated answer without a token goes on after its last key; one that does not move is a fault."""
    after: dict[str, Any] = {}
    last = ""
    while True:
        with _faults(f"s3://{bucket}/{prefix}"):
            answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, **after)
        entries = answer.get("Contents", [])
        for entry in entries:
            if entry["Key"] > last:
                last = entry["Key"]
                yield entry["Key"], Found(size=entry["Size"], etag=entry.get("ETag", "").strip('"') or None)
        if not answer.get("IsTruncated"):
            return
        token = answer.get("NextContinuationToken")
        following: dict[str, Any] = {"ContinuationToken": token} if token else {"StartAfter": last}
        if following == after or (not token and not last):
            raise ProviderFault(f"s3://{bucket}/{prefix} is listed in circles", Kind.TRANSIENT, host=bucket)
        after = following


def head(client: S3Client, bucket: str, key: str) -> Found | None:
    """An object; None when it is not there. Raises Denied, ProviderFault."""
    try:
        with _faults(f"s3://{bucket}/{key}"):
            return _found(client.head_object(Bucket=bucket, Key=key))
    except ProviderFault as fault:
        if fault.kind is not Kind.GONE:
            raise
        return None


def fetch(wanted: Wanted, path: Path) -> int:
    """A file from its URL, of the size that its job tells. Raises ProviderFault."""
    import urllib3

    if wanted.url is None:
        raise ProviderFault(f"{wanted.name} has no URL", Kind.GONE)
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(connect=10, read=60)) as pool:
            response = pool.request("GET", wanted.url, headers={"Accept-Encoding": "identity"}, preload_content=False)
            with contextlib.closing(response), path.open("wb") as file:
                for data in response.stream(BUFFER):
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except urllib3.exceptions.HTTPError as error:
        path.unlink(missing_ok=True)
        raise ProviderFault(f"{wanted.name} can't be had by https ({type(error).__name__})", Kind.TRANSIENT) from error
    size = path.stat().st_size
    if response.status != 200 or (wanted.size is not None and size != wanted.size):
        path.unlink()
        text = f"{wanted.name} came by https with status {response.status} and {size} bytes of {wanted.size}"
        raise ProviderFault(text, Kind.TRANSIENT if response.status == 200 else Kind.AUTH, status=response.status)
    return size


def etag_of(path: Path, part: int | None) -> str:
    """The ETag that S3 gives a file: its MD5, or of parts of so many bytes the MD5 of their MD5s and their number."""
    digests: list[Any] = []
    with path.open("rb") as file:
        while True:
            digest, count = hashlib.md5(usedforsecurity=False), 0
            while part is None or count < part:
                data = file.read(BUFFER if part is None else min(BUFFER, part - count))
                if not data:
                    break
                digest.update(data)
                count += len(data)
            if count or not digests:
                digests.append(digest)
            if part is None or count < part:
                break
    if part is None:
        return str(digests[0].hexdigest())
    joined = hashlib.md5(b"".join(one.digest() for one in digests), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(digests)}"


def _parts(etag: str | None) -> int:
    """Of how many parts an object was made; 0: of one piece."""
    count = (etag or "").partition("-")[2]
    return int(count) if count.isdigit() else 0


def _part_size(source: Found) -> int | None:
    """The usual size of the parts of an object: whole MiB, as few as fit."""
    count = _parts(source.etag)
    return math.ceil(source.size / count / MIB) * MIB if count else None


def _found(answer: Any) -> Found:
    return Found(size=answer["ContentLength"], etag=answer["ETag"].strip('"'))


@contextlib.contextmanager
def _faults(what: str) -> Iterator[None]:
    """Errors of the S3 client as ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if code in DENIED:
            raise Denied(f"{what} may not be read with these credentials ({code})") from None
        kind = Kind.GONE if code in ABSENT else Kind.RATE if code == "SlowDown" else Kind.TRANSIENT
        raise ProviderFault(f"{what}: {code}", kind) from None
    except BotoCoreError as error:
        raise ProviderFault(f"{what} does not answer ({type(error).__name__})", Kind.TRANSIENT) from error
