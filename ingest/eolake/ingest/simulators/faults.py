"""Rules by which a simulator misbehaves, and the limits that it keeps to; reproducible by a seed.

A rule says which requests it is about and what goes wrong with them:

    {match: "/f/*", nth: [1, 3], fault: {status: 503, retry_after: 2}}
    {match: "*/$value", prob: 0.1, when: {range_ge: 1}, fault: {close: {after: random, how: rst}}}
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import Model
from eolake.ingest.simulators.messages import Request

Position = NonNegativeInt | Literal["random", "half"]
"""Bytes of a response's body; `random`: drawn anew for each request, by the seed."""
Page = Literal[
    "login", "maintenance", "error-xml", "error-json", "sessions-json", "flows-xml", "token-expired", "token-missing", "empty",
    "s3-slow-down", "s3-internal-error", "s3-complete-error", "s3-no-such-upload", "s3-access-denied", "s3-time-skewed", "s3-expired-token",
]  # fmt: skip
"""What stands in `pages.yaml`."""
Share = Annotated[float, Field(ge=0, le=1)]


class Close(Model):
    """The connection ends inside a body."""

    after: Position = "half"
    how: Literal["fin", "rst"] = "fin"


class Reset(Model):
    """Each `each` bytes of a body have a chance `prob` to be the last that arrive."""

    each: PositiveInt
    prob: Share
    how: Literal["fin", "rst"] = "rst"


class Stall(Model):
    """Nothing more comes after `after` bytes, for so many seconds; for ever when it doesn't say."""

    after: Position = 0
    seconds: PositiveFloat | None = None


class Drip(Model):
    """After `after` bytes the rest comes at `rate` bytes per second."""

    after: Position = 0
    rate: PositiveFloat = 1


class Inject(Model):
    """A message in the middle of the body, then the end of the connection."""

    after: Position = "half"
    text: str = (
        "<?xml version='1.0' encoding='UTF-8'?><error xmlns=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\"><code/>"
        '<message xml:lang="en">An exception occured while creating a stream</message></error>'
    )


class Redirect(Model):
    """Another place; `{second}`, `{base}` and `{target}` are filled in."""

    to: str = "{second}{target}"
    """`loop`: to itself for ever; `login`: to the login page of this server; else a location."""
    status: Literal[301, 302, 303, 307, 308] = 302


class Fault(Model):
    """What goes wrong: one thing or several at once."""

    status: int | None = None
    """This answer instead of the right one."""
    retry_after: str | float | None = None
    """Seconds, `date` (in 2 s), `past`, or any text as it is."""
    page: Page | None = None
    """A body instead of the right one, with the status that it was seen with unless `status` says otherwise."""
    headers: Mapping[str, str] = {}
    """Set on the answer."""
    redirect: Redirect | None = None
    delay: NonNegativeFloat = 0
    """Seconds before the answer."""
    run: bool = False
    """With `status` or `page`: the request is carried out all the same."""
    refuse: PositiveFloat | None = None
    """The connection is reset and the port closed for so many seconds."""

    range: Literal["ignore", "shift", "overlap", "lie", "total", "star", "multipart"] | None = None
    """`ignore`: 200 with everything. The others are a 206: with other bytes than asked (`shift`: off by 512 bytes, `overlap`: from 4 KiB
    earlier, both saying so; `lie`: off by 512 bytes and not saying so), with a wrong total, with `*`, or as multipart/byteranges."""
    range_on_200: bool = False
    """`Content-Range` on a 200, as DHuS does."""
    etag: str | None = None
    """`weak`, `unquoted`, `none`, `changed`, or a literal."""
    version: NonNegativeInt = 0
    """Above 0: other bytes (and another ETag, unless `etag` says otherwise)."""
    no_modified: bool = False
    """Without Last-Modified."""
    if_range: Literal["date-only", "ignore"] | None = None
    """`date-only`: an ETag in If-Range never matches; `ignore`: anything matches."""
    length: Literal["larger", "smaller", "missing", "negative", "duplicate"] | None = None
    """What Content-Length says."""
    chunked: Literal["whole", "cut", "short"] | None = None
    """`cut`: without the last chunk; `short`: properly ended, but half the body."""
    gzip: bool = False
    close: Close | None = None
    reset: Reset | None = None
    stall: Stall | None = None
    drip: Drip | None = None
    inject: Inject | None = None
    flip: tuple[Position, ...] = ()
    """Offsets in the whole content at which one bit is turned."""
    insert: Position | None = None
    """One byte too many at this offset of the body; its length stays, so that only a digest tells."""
    delete: Position | None = None
    """One byte too few, likewise."""
    head_size: NonNegativeInt | None = None
    """What a HEAD says the size is."""
    interim: NonNegativeInt = 0
    """So many 1xx answers before the real one."""
    header_bytes: NonNegativeInt = 0
    """A header block of this size."""

    @property
    def replaces(self) -> bool:
        """Whether it stands instead of the right answer."""
        return self.status is not None or self.page is not None or self.redirect is not None


class When(Model):
    """Further conditions on a request; all must hold."""

    range_ge: NonNegativeInt | None = None
    """It asks for a range that starts at or after this byte."""
    range_lt: NonNegativeInt | None = None
    ranged: bool | None = None
    header: Mapping[str, str] = {}
    """Names (lower case) and globs of their values."""
    query: Mapping[str, str] = {}
    """Parameters that are there, and globs of their values."""
    token_age_ge: NonNegativeFloat | None = None
    """Seconds since its Authorization was first seen."""
    account: str | None = None
    """Glob."""


FILES = ("/f/*", "/zip/*", "*/$value", "*/files/*", "*/download-staging/*", "/data/download/*", "/archive/*[!/]", "/eolake-simulator/*")
"""Paths that are files in one of the dialects: what `@files` stands for."""


def path_matches(path: str, glob: str) -> bool:
    """Whether a glob, or `@files`, means this path."""
    return any(fnmatchcase(path, one) for one in FILES) if glob == "@files" else fnmatchcase(path, glob)


class Rule(Model):
    """Which requests, and what goes wrong with them."""

    match: str = "*"
    """Glob of the path; `@files`: all that are products."""
    method: str | None = None
    nth: tuple[PositiveInt, ...] = ()
    """Only the first, third, …"""
    every: PositiveInt | None = None
    prob: Share | None = None
    times: PositiveInt | None = None
    """At most so often."""
    per: Literal["path", "rule", "account"] = "path"
    """What `nth`, `every` and `times` count over."""
    when: When = When()
    fault: Fault


class Limits(Model):
    """What an account may do."""

    connections: PositiveInt | None = None
    """At once, of one account."""
    count: Literal["transfers", "connections"] = "transfers"
    """Whether an idle connection counts."""
    over: Literal["429", "403", "refuse"] = "429"
    """The answer above it: DAT-ZIP-100 as JSON, `cause-message` as XML, or the port closed for `ban` seconds."""
    ban: PositiveFloat = 5
    lag: NonNegativeFloat = 0
    """Seconds for which an ended one still counts."""
    paths: tuple[str, ...] = ("*",)
    """Only requests to these."""
    rate: PositiveFloat | None = None
    """Bytes per second of each connection."""
    total_rate: PositiveFloat | None = None
    """Bytes per second of all together."""
    requests_per_minute: PositiveInt | None = None
    """Of one account; 429 above."""
    budget: PositiveInt | None = None
    """Bytes of one account; afterwards one connection at `slow_rate`."""
    slow_rate: PositiveFloat = 1e6


class Behaviour(Model):
    """A whole script: rules and limits."""

    about: str = ""
    rules: tuple[Rule, ...] = ()
    limits: Limits = Limits()
    ftp: Mapping[str, Any] = {}
    """Fields of FtpFaults, for an FTP server."""


@dataclass(slots=True, kw_only=True)
class Chance:
    """Numbers that depend on the seed, the rule, the path and the count only, not on the order of threads."""

    key: str

    def share(self, what: object = "") -> float:
        """In [0, 1)."""
        return int.from_bytes(hashlib.blake2b(f"{self.key}/{what}".encode(), digest_size=8).digest()) / 2**64

    def below(self, limit: int, what: object = "") -> int:
        """In [0, limit)."""
        return int(self.share(what) * max(1, limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A rule that fires for a request."""

    fault: Fault
    chance: Chance


@dataclass(slots=True)
class Script:
    """The rules of a server and what they have counted; safe for threads."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0
    _seen: Counter[tuple[int, str]] = field(default_factory=Counter)
    _fired: Counter[tuple[int, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pick(self, request: Request, *, account: str, token_age: float) -> Hit | None:
        """The first rule that fires; rules after it don't count this request."""
        for index, rule in enumerate(self.rules):
            if not _about(rule, request, account, token_age):
                continue
            scope = {"path": request.path, "rule": "", "account": account}[rule.per]
            with self._lock:
                self._seen[index, scope] += 1
                n = self._seen[index, scope]
                chance = Chance(key=f"{self.seed}/{index}/{scope}/{n}")
                if not _fires(rule, n, self._fired[index, scope], chance):
                    continue
                self._fired[index, scope] += 1
            return Hit(fault=rule.fault, chance=chance)
        return None


def _about(rule: Rule, request: Request, account: str, token_age: float) -> bool:
    when = rule.when
    start = range_start(request)
    return (
        path_matches(request.path, rule.match)
        and (rule.method is None or rule.method == request.method)
        and (when.ranged is None or when.ranged == (start is not None))
        and (when.range_ge is None or (start is not None and start >= when.range_ge))
        and (when.range_lt is None or (start is not None and start < when.range_lt))
        and (when.account is None or fnmatchcase(account, when.account))
        and (when.token_age_ge is None or token_age >= when.token_age_ge)
        and all(fnmatchcase(request.headers.get(name, ""), glob) for name, glob in when.header.items())
        and all(fnmatchcase(request.get(name) or "", glob) for name, glob in when.query.items() if name in request.query)
        and all(name in request.query for name in when.query)
    )


def _fires(rule: Rule, n: int, fired: int, chance: Chance) -> bool:
    return (
        (not rule.nth or n in rule.nth)
        and (rule.every is None or n % rule.every == 0)
        and (rule.times is None or fired < rule.times)
        and (rule.prob is None or chance.share("fires") < rule.prob)
    )


def range_start(request: Request) -> int | None:
    """The first byte of `Range: bytes=N-…`; None without one, 0 for a suffix."""
    value = request.headers.get("range", "")
    if not value.startswith("bytes="):
        return None
    first = value.removeprefix("bytes=").partition("-")[0]
    return int(first) if first.isdigit() else 0


def parse_rules(document: object) -> tuple[Rule, ...]:
    """Rules from plain data. Raises ConfigError that says which key is wrong."""
    return parse_behaviour({"rules": document}).rules


def parse_behaviour(document: object) -> Behaviour:
    """Rules and limits from plain data: a mapping, or a list of rules. Raises ConfigError that says which key is wrong."""
    try:
        return Behaviour.model_validate({"rules": document} if isinstance(document, (list, tuple)) else document)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"faults: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def presets() -> Mapping[str, Behaviour]:
    """The named behaviours of the package."""
    text = files("eolake.ingest.simulators").joinpath("faults.yaml").read_text("utf-8")
    return {name: parse_behaviour(document) for name, document in yaml.safe_load(text).items()}


def behaviour_of(name: str) -> Behaviour:
    """A preset by its name, or a YAML (or JSON) file. Raises ConfigError."""
    known = presets()
    if name in known:
        return known[name]
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"no faults {name!r}: neither a file nor one of {', '.join(sorted(known))}")
    return parse_behaviour(yaml.safe_load(path.read_text("utf-8")))


def as_rules(rules: Sequence[Rule | Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules, some of them as plain data. Raises ConfigError."""
    return tuple(rule if isinstance(rule, Rule) else parse_rules([rule])[0] for rule in rules)
