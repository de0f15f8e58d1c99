"""The kind `s3`: products below a prefix of a bucket, public, requester pays, or with keys; any endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import ProviderConfig
from eolake.ingest.providers.tree import Item, TreeProvider

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CODES: Mapping[str, Kind] = {
    "SlowDown": Kind.RATE,
    "TooManyRequests": Kind.RATE,
    "429": Kind.RATE,
    "503": Kind.RATE,
    "AccessDenied": Kind.AUTH,
    "403": Kind.AUTH,
    "InvalidAccessKeyId": Kind.AUTH,
    "SignatureDoesNotMatch": Kind.AUTH,
    "ExpiredToken": Kind.AUTH,
    "NoSuchKey": Kind.GONE,
    "404": Kind.GONE,
    "NoSuchBucket": Kind.CONFIG,
    "PermanentRedirect": Kind.CONFIG,
    "RequestTimeTooSkewed": Kind.CONFIG,
}
"""What the service says → what to do."""


ENDED = frozenset({"ExpiredToken", "InvalidAccessKeyId"})
"""Keys that are read anew, once."""


class S3Provider(TreeProvider):
    """Objects (or prefixes that hold the files of one product)."""

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError without `urls.base` (s3://bucket/prefix).

        Options: `s3` (`endpoint`, `region`, `path_style`, `request_payer`, `attempts`). Without a login nothing is signed."""
        base = urlsplit(config.urls.get("base", ""))
        if base.scheme != "s3" or not base.netloc:
            raise ConfigError(f"[providers.{config.name}.urls] base: the kind s3 needs one (s3://bucket/prefix)")
        lister = S3Lister(bucket=base.netloc, prefix=base.path.strip("/"), options=config.options.get("s3", {}), login=login)
        super().__init__(config, lister, login)


@dataclass(slots=True, kw_only=True)
class S3Lister:
    """Lists with ListObjectsV2, level by level."""

    bucket: str
    prefix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    login: Login | None = None
    _client: Any = None
    _lock: Lock = field(default_factory=Lock)

    def list(self, folder: str) -> Sequence[Item]:
        """See Lister. A bucket has no folders: an empty one is one that is not there."""
        key = self._key(folder)
        asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": f"{key}/" if key else "", "Delimiter": "/", **self._payer()}
        found: list[Item] = []
        tokens: set[str] = set()
        while True:
            page = self._call("list_objects_v2", key, **asked)
            found += [self._folder(entry["Prefix"]) for entry in page.get("CommonPrefixes", [])]
            found += [self._item(entry) for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
            token = page.get("NextContinuationToken") if page.get("IsTruncated") else None
            if page.get("IsTruncated") and (token is None or token in tokens):
                raise ProviderFault(f"s3://{self.bucket}/{key} cuts its listing short without saying how to go on", Kind.TRANSIENT)
            if token is None:
                break
            tokens.add(token)
            asked["ContinuationToken"] = token
        if not found and folder:
            raise ProviderFault(f"there is nothing below s3://{self.bucket}/{key}", Kind.GONE)
        return found

    def look(self, item: Item) -> Item:
        """By HEAD."""
        head = self._call("head_object", self._key(item.path), Bucket=self.bucket, Key=self._key(item.path), **self._payer())
        return replace(item, size=head["ContentLength"], modified=head["LastModified"], etag=_etag(head.get("ETag")))

    def url(self, path: str) -> str:
        """See Lister."""
        return f"s3://{self.bucket}/{quote(self._key(path))}"

    def close(self) -> None:
        """See Lister."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self.prefix, path) if part)

    def _below(self, key: str) -> str:
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key

    def _folder(self, prefix: str) -> Item:
        return Item(path=self._below(prefix.rstrip("/")), folder=True)

    def _item(self, entry: Mapping[str, Any]) -> Item:
        path = self._below(entry["Key"])
        return Item(path=path, size=entry["Size"], modified=entry["LastModified"], etag=_etag(entry.get("ETag")))

    def _payer(self) -> dict[str, str]:
        wish = self.options.get("request_payer")
        return {"RequestPayer": str(wish)} if wish else {}

    def _call(self, operation: str, key: str, **parameters: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self.bucket}/{key}"
        try:
            try:
                return getattr(self._connected(), operation)(**parameters)
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code")) not in ENDED or self.login is None:
                    raise
                self.login.refresh(self.login.s3())
                self.close()
                return getattr(self._connected(), operation)(**parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            kind = CODES.get(code, Kind.TRANSIENT if status is None or status >= 500 else Kind.CONFIG)
            hint = "; does it want requester pays?" if kind is Kind.AUTH and not self._payer() else ""
            raise ProviderFault(f"{where}: {code or status}{hint}", kind, status=status, code=code or None) from None
        except BotoCoreError as error:
            raise ProviderFault(f"{where} does not answer ({type(error).__name__})", Kind.TRANSIENT) from None

    def _connected(self) -> S3Client:
        with self._lock:
            if self._client is None:
                self._client = _client(self.options, self.login)
            client: S3Client = self._client
            return client


def _client(options: Mapping[str, Any], login: Login | None) -> S3Client:
    """A client with the keys of the login; without any: unsigned, not the keys that happen to lie about on the machine."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    keys = dict(login.s3()) if login is not None else {}
    signed = "aws_access_key_id" in keys
    settings: dict[str, Any] = {
        "s3": {"addressing_style": "path" if options.get("path_style") else "auto"},
        "retries": {"mode": "standard", "total_max_attempts": int(options.get("attempts", 3))},
        "connect_timeout": 10,
        "read_timeout": 60,
        **({} if signed else {"signature_version": UNSIGNED}),
    }
    client: S3Client = boto3.Session().client(
        "s3",
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region", "us-east-1"),
        aws_access_key_id=keys.get("aws_access_key_id"),
        aws_secret_access_key=keys.get("aws_secret_access_key"),
        aws_session_token=keys.get("aws_session_token"),
        config=Config(**settings),
    )
    return client


def _etag(value: str | None) -> str | None:
    return value.strip('"') if value else None
