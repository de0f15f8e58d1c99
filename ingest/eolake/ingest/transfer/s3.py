"""S3 by boto3: ranged GETs that insist on the same ETag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer.base import Limits, Progress, Stop
from eolake.ingest.transfer.curl import Stopped
from eolake.ingest.transfer.hashing import Digests
from eolake.ingest.transfer.partial import Partial, Source, seen
from eolake.ingest.transfer.sink import Mismatch, Sink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
CODES = {
    "SlowDown": Kind.RATE,
    "RequestLimitExceeded": Kind.RATE,
    "429": Kind.RATE,
    "NoSuchKey": Kind.GONE,
    "NoSuchBucket": Kind.GONE,
    "404": Kind.GONE,
    "AccessDenied": Kind.AUTH,
    "403": Kind.AUTH,
    "ExpiredToken": Kind.AUTH,
    "InvalidAccessKeyId": Kind.AUTH,
    "SignatureDoesNotMatch": Kind.AUTH,
    "RequestTimeTooSkewed": Kind.AUTH,
    "InvalidObjectState": Kind.OFFLINE,
}
KNOWN = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def client(settings: Mapping[str, Any], limits: Limits) -> S3Client:
    """A client of these settings (keys, `endpoint`, `region`, `path_style`); anonymous without keys."""
    import boto3
    import botocore
    from botocore.config import Config

    keys = {name: settings[name] for name in KNOWN if settings.get(name)}
    config = Config(
        signature_version=None if keys else botocore.UNSIGNED,
        retries={"total_max_attempts": 1},
        connect_timeout=limits.connect,
        read_timeout=limits.stall,
        max_pool_connections=1,
        s3={"addressing_style": "path" if settings.get("path_style") else "auto"},
        response_checksum_validation="when_required",
    )
    session = boto3.Session(region_name=settings.get("region") or "us-east-1", **keys)
    return session.client("s3", endpoint_url=settings.get("endpoint"), config=config)


def attempt(
    made: S3Client, part: Part, partial: Partial, source: Source, *, payer: str | None, limits: Limits, progress: Progress, stop: Stop
) -> tuple[int, int, Digests, str]:
    """What is missing of an object; (length, total, digests, ETag). ProviderFault; Mismatch when the object changed."""
    import urllib3
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(part.url)
    offset = max(0, partial.length - limits.rollback) if source.etag else 0
    asked: dict[str, Any] = {"Bucket": parts.netloc, "Key": unquote(parts.path.lstrip("/"))}
    if offset:
        asked |= {"Range": f"bytes={offset}-", "IfMatch": source.etag}
    if payer:
        asked["RequestPayer"] = payer
    try:
        answer = made.get_object(**asked)
        length = int(answer["ContentLength"])
        total = int(answer["ContentRange"].rpartition("/")[2]) if offset else length
        partial.reserve(total, limits.spare)
        if not offset:
            partial.truncate(0)
        partial.note(seen(source, etag=answer["ETag"], last_modified=None, total=total))
        digests = Digests(part.digests)
        sink = Sink(partial, digests, at=offset, name=part.name, media_type=None, total=total)
        try:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                if stop():
                    raise Stopped  # noqa: TRY301 -- what came is kept below
                progress(len(chunk))
                sink.take(chunk)
            sink.finish()
        except BaseException:
            sink.abandon()
            raise
        finally:
            answer["Body"].close()
    except ClientError as error:
        raise _fault(part.url, error) from error
    except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        raise ProviderFault(f"{part.url}: {type(error).__name__}: {error}", Kind.TRANSIENT, host=parts.netloc) from error
    return sink.at, total, digests, answer["ETag"]


def _fault(url: str, error: Any) -> Exception:
    code, status = str(error.response["Error"].get("Code")), error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in {"PreconditionFailed", "412", "InvalidRange", "416"}:
        return Mismatch(f"{url}: the object changed")
    kind = CODES.get(code) or (Kind.TRANSIENT if status >= 500 else Kind.RATE if status == 429 else Kind.GONE)
    return ProviderFault(f"{url}: {error}", kind, host=urlsplit(url).netloc, status=status, code=code)
