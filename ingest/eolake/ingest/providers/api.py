"""Small requests to a provider's catalogue: bounded, to its own hosts only, classified into faults.

Bytes of products go through `transfer`.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlencode, urljoin, urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import ProviderConfig

LIMIT = 64 * 1024 * 1024
"""Bytes of an answer at most, decompressed."""
REDIRECTS = 5
TRIES = 3
PATIENCE = 5.0
"""Seconds of a Retry-After that are waited here; a longer one is the caller's business."""
RETRY_AFTER = (1.0, 3600.0)
"""Seconds: what a provider may ask for at least and at most."""
PORTS: Mapping[str, int] = {"http": 80, "https": 443}

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"]
Params = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a catalogue answered."""

    status: int
    body: bytes
    url: str
    """After redirects."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    def json(self) -> Any:
        """The document; ProviderFault(transient) when the body is none: a page of a proxy, a cut answer."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            start = self.body[:40].decode("utf-8", "replace")
            raise ProviderFault(
                f"{shown(self.url)} answered something that is not JSON ({start!r} …); it is tried again",
                Kind.TRANSIENT,
                host=host_of(self.url),
                status=self.status,
            ) from None


def host_of(url: str) -> str:
    """`host`, or `host:port` where the port is not the scheme's own; CONFIG when the URL is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ProviderFault(f"{url[:200]!r} is no URL ({error})", Kind.CONFIG) from None
    host = parts.hostname or ""
    return host if port is None or port == PORTS.get(parts.scheme) else f"{host}:{port}"


def hosts_of(config: ProviderConfig) -> frozenset[str]:
    """The hosts that belong to a provider: those of its URLs, those that take its credential, and `options.hosts`."""
    named = [*config.auth_hosts, *config.options.get("hosts", ())]
    return frozenset([*(host_of(url) for url in config.urls.values()), *(str(host).lower() for host in named)])


def shown(url: str) -> str:
    """A URL fit for messages: without query, which may hold a signature, and without a password."""
    host = host_of(url)
    parts = urlsplit(url)
    return f"{parts.scheme}://{host}{parts.path}"


def retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (seconds or an HTTP date), from 1 s to 1 h; None when there is none or it is garbage."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((then if then.tzinfo else then.replace(tzinfo=UTC)) - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, RETRY_AFTER[0]), RETRY_AFTER[1]) if not math.isnan(seconds) else None


def classify(status: int, *, wait: float | None, body: bytes = b"") -> Kind:
    """The class of an answer that is no success."""
    rules: tuple[tuple[bool, Kind], ...] = (
        (status == 429 or (status == 503 and wait is not None) or (status == 403 and b"concurrent flows" in body), Kind.RATE),
        (status in {401, 403, 407}, Kind.AUTH),
        (status in {408, 425} or status >= 500, Kind.TRANSIENT),
        (status in {400, 404, 410, 422}, Kind.GONE),
    )
    return next((kind for found, kind in rules if found), Kind.CONFIG)


class Api:
    """Requests to one provider; safe for threads, keeps its connections.

    Redirects are followed within the provider's hosts only, and never from https to http. The login's headers go only to hosts that
    the login and `auth_hosts` both allow; a 401 refreshes it once. Transient faults are tried three times."""

    def __init__(
        self, config: ProviderConfig, login: Login | None = None, *, timeout: float = 60, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        """`timeout`: seconds without a byte. Options: `hosts` (further ones), `ca_file`, `retry_delay` (seconds before the second try)."""
        self.config, self.login = config, login
        self.hosts = hosts_of(config)
        self._auth_hosts = frozenset(host.lower() for host in config.auth_hosts)
        self._sleep = sleep
        self._delay = float(config.options.get("retry_delay", 0.5))
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=10, read=timeout),
            maxsize=4,
            ssl_context=ssl.create_default_context(cafile=config.options.get("ca_file")),
        )

    def get_json(self, url: str, params: Params | None = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """The document at a URL. `params` are appended to the URL's own query. Raises ProviderFault."""
        return self._tried(lambda: self._once("GET", url, params, {"Accept": "application/json", **(headers or {})}, None).json())

    def post_json(self, url: str, document: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        """What a POST of a JSON document answers; for searches, which may be asked twice. Raises ProviderFault."""
        sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        return self._tried(lambda: self._once("POST", url, None, sent, orjson.dumps(document)).json())

    def get_bytes(self, url: str, params: Params | None = None, *, headers: Mapping[str, str] | None = None) -> bytes:
        """The body at a URL (XML, HTML listings). Raises ProviderFault."""
        return self.request("GET", url, params, headers=headers).body

    def request(
        self,
        method: Method,
        url: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        tries: int = TRIES,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        """Any request; statuses in `accept` are answers, not faults. `tries=1` for what must not be sent twice. Raises ProviderFault."""
        return self._tried(lambda: self._once(method, url, params, headers or {}, body, accept), tries)

    def check(self, url: str) -> str:
        """The URL itself when it is one of this provider's; ProviderFault(config) otherwise: a page must not send us anywhere."""
        if host_of(url) not in self.hosts or urlsplit(url).scheme not in PORTS:
            raise ProviderFault(
                f"{self.config.name} points to {shown(url)}, which is not one of its hosts ({', '.join(sorted(self.hosts))}); "
                f"if that is right, name it in [providers.{self.config.name}] options.hosts",
                Kind.CONFIG,
                host=host_of(url),
            )
        return url

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _tried[T](self, ask: Callable[[], T], tries: int = TRIES) -> T:
        delay = self._delay
        for _ in range(tries - 1):
            try:
                return ask()
            except ProviderFault as fault:
                waits = fault.kind is Kind.RATE and fault.retry_after is not None and fault.retry_after <= PATIENCE
                if fault.kind is not Kind.TRANSIENT and not waits:
                    raise
                self._sleep(fault.retry_after if waits and fault.retry_after is not None else delay)
                delay *= 3
        return ask()

    def _once(
        self,
        method: Method,
        url: str,
        params: Params | None,
        headers: Mapping[str, str],
        body: bytes | None,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        target = self.check(_with(url, params))
        for _ in range(REDIRECTS + 1):
            answer = self._authorised(method, target, headers, body)
            location = answer.headers.get("location")
            if answer.status not in {301, 302, 303, 307, 308} or location is None:
                return self._judged(answer, accept)
            onward = urljoin(target, location)
            if urlsplit(target).scheme == "https" and urlsplit(onward).scheme != "https":
                raise ProviderFault(f"{shown(target)} redirects from https to {shown(onward)}", Kind.CONFIG, host=host_of(target))
            target = self.check(onward)
            if answer.status == 303:
                method, body = "GET", None
        raise ProviderFault(f"{shown(url)} redirects more than {REDIRECTS} times", Kind.CONFIG, host=host_of(url))

    def _authorised(self, method: Method, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        login = self.login if self.login is not None and host_of(url) in self._auth_hosts and self.login.allows(url) else None
        if login is None:
            return self._exchange(method, url, headers, body)
        credential = login.headers(url)
        answer = self._exchange(method, url, {**headers, **credential}, body)
        if answer.status != 401:
            return answer
        login.refresh(credential)
        return self._exchange(method, url, {**headers, **login.headers(url)}, body)

    def _exchange(self, method: Method, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        host = host_of(url)
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers={"Accept-Encoding": "gzip", "User-Agent": "eolake", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            content = _read(response, url)
        except LocationValueError as error:
            raise ProviderFault(f"{shown(url)} is no URL ({error})", Kind.CONFIG, host=host) from error
        except (HTTPError, OSError) as error:
            if isinstance(error.__cause__ or (error.args and error.args[0]), ssl.SSLCertVerificationError):
                raise ProviderFault(f"{shown(url)} shows a certificate that is not valid for it", Kind.CONFIG, host=host) from error
            raise ProviderFault(f"{shown(url)} does not answer ({type(error).__name__})", Kind.TRANSIENT, host=host) from error
        return Answer(status=response.status, body=content, url=url, headers={k.lower(): v for k, v in response.headers.items()})

    def _judged(self, answer: Answer, accept: frozenset[int]) -> Answer:
        if 200 <= answer.status < 300 or answer.status in accept:
            return answer
        wait = retry_after(answer.headers.get("retry-after"))
        kind = classify(answer.status, wait=wait, body=answer.body)
        said = " ".join(answer.body[:200].decode("utf-8", "replace").split())
        raise ProviderFault(
            f"{shown(answer.url)} answered {answer.status}" + (f": {said}" if said else ""),
            kind,
            host=host_of(answer.url),
            status=answer.status,
            code=_code(answer),
            retry_after=wait,
        )


def _read(response: urllib3.BaseHTTPResponse, url: str) -> bytes:
    """The whole body, within the limit; the connection is kept only when nothing of it is left."""
    content = response.read(LIMIT + 1, decode_content=True)
    if len(content) > LIMIT:
        response.close()
        raise ProviderFault(f"{shown(url)} answers more than {LIMIT >> 20} MiB; ask for less", Kind.CONFIG, host=host_of(url))
    response.release_conn()
    return content


def _with(url: str, params: Params | None) -> str:
    if not params:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(params)}"


def _code(answer: Answer) -> str | None:
    """The provider's own code of an error: DAT-ZIP-100."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    code = document.get("code", document.get("errorCode")) if isinstance(document, dict) else None
    return code if isinstance(code, str) else None
