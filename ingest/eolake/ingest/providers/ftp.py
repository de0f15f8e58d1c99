"""The kind `ftp`: directories of an FTP site, plain (`ftp://`) or with TLS: asked for in the session (`ftpes://`, with PROT P), or from
its first byte (`ftps://`, port 990)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from urllib.parse import quote, unquote, urlsplit

import pycurl

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import host_of
from eolake.ingest.providers.base import ProviderConfig
from eolake.ingest.providers.tree import Item, TreeProvider

LIMIT = 64 << 20
"""Bytes of a listing."""
UNIX = re.compile(
    r"^(?P<type>[bcdlps-])[rwxsStT-]{9}[+.@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+"
    r"(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?:(?P<time>\d{1,2}:\d{2})|(?P<year>\d{4}))\s(?P<name>.+)$"
)
DOS = re.compile(
    r"^(?P<date>\d{2}-\d{2}-\d{2,4})\s+(?P<time>\d{1,2}:\d{2}(?:[AP]M)?)\s+(?:(?P<folder><DIR>)|(?P<size>\d+))\s+(?P<name>.+)$"
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
KINDS = {
    pycurl.E_LOGIN_DENIED: Kind.AUTH,
    pycurl.E_REMOTE_ACCESS_DENIED: Kind.GONE,
    pycurl.E_REMOTE_FILE_NOT_FOUND: Kind.GONE,
    pycurl.E_URL_MALFORMAT: Kind.CONFIG,
    pycurl.E_UNSUPPORTED_PROTOCOL: Kind.CONFIG,
    pycurl.E_PEER_FAILED_VERIFICATION: Kind.CONFIG,
    pycurl.E_USE_SSL_FAILED: Kind.CONFIG,
}
UNKNOWN_COMMAND = frozenset({500, 501, 502, 504})


class FtpProvider(TreeProvider):
    """Files (or folders) of an FTP site; identity is the path, size and time tell whether it changed."""

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError without `urls.base`."""
        base = config.urls.get("base", "")
        if urlsplit(base).scheme not in {"ftp", "ftps", "ftpes"}:
            raise ConfigError(f"[providers.{config.name}.urls] base: the kind ftp needs one (ftp://…, ftpes://… or ftps://…)")
        super().__init__(config, FtpLister(base=base.rstrip("/"), login=login, ca_file=config.options.get("ca_file")), login)


@dataclass(slots=True, kw_only=True)
class FtpLister:
    """Lists by MLSD, or LIST where the server does not know it; one control connection, kept open. Safe for threads."""

    base: str
    login: Login | None = None
    ca_file: str | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _curl: pycurl.Curl | None = None
    _modern: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def list(self, folder: str) -> Sequence[Item]:
        """See Lister."""
        with self._lock:
            if self._modern:
                try:
                    return _below(folder, parse_mlsd(self._read(folder, "MLSD")))
                except ProviderFault as fault:
                    if fault.status not in UNKNOWN_COMMAND:
                        raise
                    self._modern = False
            return _below(folder, parse_list(self._read(folder, "LIST"), self.now()))

    def look(self, item: Item) -> Item:
        """By SIZE and MDTM."""
        with self._lock:
            curl = self._prepared(item.path)
            curl.setopt(pycurl.NOBODY, True)
            curl.setopt(pycurl.OPT_FILETIME, True)
            curl.setopt(pycurl.HEADERFUNCTION, lambda _: None)
            curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
            self._perform(curl, item.path)
            size, time = int(curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T)), int(curl.getinfo(pycurl.FILETIME_T))
        modified = datetime.fromtimestamp(time, UTC) if time >= 0 else item.modified
        return replace(item, size=size if size >= 0 else item.size, modified=modified)

    def url(self, path: str) -> str:
        """See Lister."""
        return f"{self.base}/{quote(path)}" if path else f"{self.base}/"

    def close(self) -> None:
        """See Lister."""
        with self._lock:
            if self._curl is not None:
                self._curl.close()
                self._curl = None

    def _read(self, folder: str, command: str) -> str:
        body, over = BytesIO(), False

        def write(data: bytes) -> int | None:
            nonlocal over
            over = body.tell() + len(data) > LIMIT
            return -1 if over else body.write(data)

        curl = self._prepared(f"{folder}/" if folder else "")
        curl.setopt(pycurl.WRITEFUNCTION, write)
        if command != "LIST":
            curl.setopt(pycurl.CUSTOMREQUEST, command)
        try:
            self._perform(curl, folder)
        except ProviderFault:
            if over:
                raise ProviderFault(f"the listing of {self.url(folder)} is larger than {LIMIT >> 20} MiB", Kind.CONFIG) from None
            raise
        return body.getvalue().decode("utf-8", "surrogateescape")

    def _prepared(self, path: str) -> pycurl.Curl:
        """The handle with its connection, all options anew."""
        if self._curl is None:
            self._curl = pycurl.Curl()
        curl = self._curl
        curl.reset()
        url = self.url(path)
        sealed = urlsplit(url).scheme != "ftp"
        curl.setopt(pycurl.URL, f"ftp{url.removeprefix('ftpes')}" if url.startswith("ftpes:") else url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_FTP | pycurl.PROTO_FTPS)
        curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL if sealed else pycurl.USESSL_NONE)
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.CONNECTTIMEOUT, 10)
        curl.setopt(pycurl.FTP_RESPONSE_TIMEOUT, 60)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        curl.setopt(pycurl.LOW_SPEED_TIME, 60)
        if self.ca_file:
            curl.setopt(pycurl.CAINFO, self.ca_file)
        account = self.login.userpwd(self.base) if self.login is not None else None
        name, password = account or ("anonymous", "eolake@")
        curl.setopt(pycurl.USERNAME, name)
        curl.setopt(pycurl.PASSWORD, password)
        return curl

    def _perform(self, curl: pycurl.Curl, path: str) -> None:
        try:
            curl.perform()
        except pycurl.error as error:
            raise self._fault(int(error.args[0]), int(curl.getinfo(pycurl.RESPONSE_CODE)), path) from None

    def _fault(self, code: int, status: int, path: str) -> ProviderFault:
        """421 and 530 with "too many" are bans; nothing of the account stands in the message."""
        kind = Kind.RATE if status == 421 else KINDS.get(code, Kind.TRANSIENT)
        if status == 550:
            kind = Kind.GONE
        host = host_of(self.base)
        return ProviderFault(f"{self.url(path)}: FTP answered {status} (libcurl {code})", kind, host=host, status=status or None)


def parse_mlsd(text: str) -> Sequence[Item]:
    """The lines of MLSD (RFC 3659); what is neither file nor folder is left out."""
    found = []
    for line in text.splitlines():
        facts, space, name = line.partition(" ")
        known = dict(fact.lower().split("=", 1) for fact in facts.split(";") if "=" in fact)
        kind = known.get("type")
        if space and kind in {"file", "dir"}:
            size = known.get("size", "")
            found.append(
                Item(
                    path=name,
                    folder=kind == "dir",
                    size=int(size) if kind == "file" and size.isdecimal() else None,
                    modified=_stamp(known.get("modify", "")),
                )
            )
    return found


def parse_list(text: str, now: datetime) -> Sequence[Item]:
    """The lines of LIST as Unix or DOS write them; links and other things are left out. Times have no zone: taken as UTC."""
    return [item for line in text.splitlines() if (item := _unix(line, now) or _dos(line)) is not None]


def _unix(line: str, now: datetime) -> Item | None:
    match = UNIX.match(line)
    if match is None or match["type"] not in "d-" or match["month"] not in MONTHS:
        return None
    month, day = MONTHS.index(match["month"]) + 1, int(match["day"])
    hour, minute = (int(part) for part in (match["time"] or "0:0").split(":"))
    try:
        modified = datetime(int(match["year"] or now.year), month, day, hour, minute, tzinfo=UTC)
        if match["year"] is None and modified > now + timedelta(days=1):  # of the last twelve months
            modified = modified.replace(year=now.year - 1)
    except ValueError:
        return None
    folder = match["type"] == "d"
    return Item(path=match["name"], folder=folder, size=None if folder else int(match["size"]), modified=modified, precise=False)


def _dos(line: str) -> Item | None:
    match = DOS.match(line)
    if match is None:
        return None
    year = "%Y" if len(match["date"]) == 10 else "%y"
    clock = "%I:%M%p" if match["time"].endswith("M") else "%H:%M"
    try:
        modified = datetime.strptime(f"{match['date']} {match['time']}", f"%m-%d-{year} {clock}").replace(tzinfo=UTC)
    except ValueError:
        return None
    size = int(match["size"]) if match["size"] else None
    return Item(path=match["name"], folder=match["folder"] is not None, size=size, modified=modified, precise=False)


def _stamp(text: str) -> datetime | None:
    """`20240101120000`, with or without a fraction; UTC by definition."""
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _below(folder: str, items: Sequence[Item]) -> Sequence[Item]:
    """With the path of their folder; `.`, `..` and anything with a slash don't belong to a folder."""
    kept = [item for item in items if item.path not in {".", ".."}]
    return [replace(item, path=f"{folder}/{item.path}" if folder else item.path) for item in kept if "/" not in unquote(item.path)]
