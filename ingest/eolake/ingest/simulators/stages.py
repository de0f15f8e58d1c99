"""What `eolake simulate NAME` runs: a provider that speaks one dialect, and the settings that point at it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from eolake.catalog.settings import Model
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.content import digests, of_bytes, zip_bytes
from eolake.ingest.simulators.dialects.odata import ODataDialect
from eolake.ingest.simulators.dialects.subscriptions import Subscriptions
from eolake.ingest.simulators.faults import Behaviour, Limits
from eolake.ingest.simulators.ftp import FtpFaults, FtpServer
from eolake.ingest.simulators.messages import Handler, Request
from eolake.ingest.simulators.push import Pusher
from eolake.ingest.simulators.s3 import S3Server
from eolake.ingest.simulators.server import Server, account_of
from eolake.ingest.simulators.tokens import Tokens

BUCKET = "eolake-simulator"
LAYOUT = "%Y/%m/%d"
NOISE = 300_000
"""Bytes of a product that is noise."""
FILL = re.compile(r"\{(url|second|host|bucket)\}")


class Stage(Model):
    """One of `stages.yaml`."""

    about: str
    account: Mapping[str, str] = {}
    """Environment variable (after its prefix) → value."""
    block: Mapping[str, Any]
    noise: tuple[str, ...] = ()
    """Products of these names instead of those of a folder."""
    rename: Mapping[str, str] = {}
    """Collections as the dialect knows them; others are left out."""
    attributes: Mapping[str, Any] = {}
    """Given to each product."""


@cache
def stages() -> Mapping[str, Stage]:
    """By name."""
    text = files("eolake.ingest.simulators").joinpath("stages.yaml").read_text("utf-8")
    return {name: Stage.model_validate(document) for name, document in yaml.safe_load(text).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the simulator behaves."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    connections: int | None = None
    """Of one account at once."""
    rate: float | None = None
    """Bytes per second of each connection."""
    port: int = 0
    seed: int = 0

    def limits(self) -> Limits:
        """Those of the behaviour with one's own over them; a connection counts while it carries a file."""
        own: dict[str, Any] = {"connections": self.connections, "rate": self.rate}
        given = {name: value for name, value in own.items() if value is not None}
        return Limits.model_validate({"paths": ("@files",), **self.behaviour.limits.model_dump(exclude_unset=True), **given})


class Simulation:
    """A running simulator; a context manager."""

    def __init__(self, name: str, archive: Archive | None, setting: Setting) -> None:
        """`archive` may be None for simulators whose products are noise. Raises ConfigError when something it needs is not installed."""
        self.name, self.stage, self.setting = name, stages()[name], setting
        self.archive = self._known(archive)
        self._stack = ExitStack()
        self.server: Server | None = None
        """Its HTTP server, where it has one."""
        self.tokens: Tokens | None = None
        self.dialect: ODataDialect | None = None
        self.subscriptions: Subscriptions | None = None
        try:
            self.urls = {"ftp": self._ftp, "s3": self._s3}.get(name, self._http)()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._stack.close()

    @property
    def reference(self) -> str:
        """How settings name its account."""
        return f"env:EOLAKE_{self.name.upper()}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that hold the account; it is no secret."""
        return {f"EOLAKE_{self.name.upper()}_{key}": value for key, value in self.stage.account.items()}

    def section(self) -> dict[str, Any]:
        """The table `[providers.NAME]`."""
        section: dict[str, Any] = _filled(self.stage.block, self.urls)
        if self.stage.account:
            section["credentials"] = [self.reference]
        if self.setting.limits().connections is not None:
            section["connections"] = self.setting.limits().connections
        return section

    def block(self) -> str:
        """The table as it stands in eolake.toml."""
        return f"[providers.{self.name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in self.section().items())

    # --- products ---

    def _known(self, archive: Archive | None) -> Archive:
        records = [_noise(name) for name in self.stage.noise] if self.stage.noise else archive.records if archive else []
        names = self.stage.rename
        kept = (
            [replace(record, collection=names[record.collection]) for record in records if record.collection in names] if names else records
        )
        return Archive(replace(record, attributes={**record.attributes, **self.stage.attributes}) for record in kept)

    # --- servers ---

    def _http(self) -> dict[str, str]:
        handlers, account = _MAKERS[self.name](self)
        server = Server(*handlers, port=self.setting.port, seed=self.setting.seed, account=account, limits=self.setting.limits())
        self.server = self._stack.enter_context(server)
        server.script(self.setting.behaviour.rules)
        urls = {"url": server.url, "host": urlsplit(server.url).netloc}
        if self.name == "cdse":
            urls["second"] = self._cdse_download(server)
        return urls

    def _cdse_download(self, server: Server) -> str:
        """Its downloads come from another host, and notifications go out."""
        second = server.second_url
        if self.dialect is not None:
            self.dialect.download_url = second
            pusher = self._stack.enter_context(Pusher())
            self.subscriptions = Subscriptions(self.dialect, base=server.url, tokens=self.tokens, pusher=pusher)
            server.handle(self.subscriptions)
        return second

    def _ftp(self) -> dict[str, str]:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="eolake-ftp-")))
        for record in self.archive.records:
            if record.file is not None:
                target = folder / record.start.strftime(LAYOUT) / record.file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                _same_file(record.file, target)
        faults = FtpFaults(**self.setting.behaviour.ftp)
        if self.setting.connections is not None:
            faults = replace(faults, connections=self.setting.connections)
        account = {self.stage.account["USERNAME"]: self.stage.account["PASSWORD"]}
        server = self._stack.enter_context(FtpServer(folder, accounts=account, faults=faults, port=self.setting.port))
        return {"url": server.url, "host": urlsplit(server.url).netloc}

    def _s3(self) -> dict[str, str]:
        s3 = self._stack.enter_context(S3Server(port=self.setting.port, seed=self.setting.seed))
        s3.fill(
            BUCKET,
            {
                f"{record.start.strftime(LAYOUT)}/{record.file.name}": record.file
                for record in self.archive.records
                if record.file is not None
            },
        )
        self.server = s3.server
        s3.server.limit(self.setting.limits())
        s3.server.script(self.setting.behaviour.rules)
        return {"url": s3.url, "host": urlsplit(s3.url).netloc, "bucket": BUCKET}


Made = tuple[list[Handler], Callable[[Request], str]]


def _cdse(simulation: Simulation) -> Made:
    account = simulation.stage.account
    simulation.tokens = Tokens({account["USERNAME"]: account["PASSWORD"]})
    simulation.dialect = ODataDialect(simulation.archive, tokens=simulation.tokens)
    return [simulation.tokens, simulation.dialect], simulation.tokens.account


def _stac(simulation: Simulation) -> Made:
    return [_dialect("stac", "StacDialect", archive=simulation.archive)], account_of


def _m2m(simulation: Simulation) -> Made:
    account = simulation.stage.account
    return [_dialect("m2m", "M2mDialect", archive=simulation.archive, username=account["USERNAME"], token=account["TOKEN"])], account_of


def _hyp3(simulation: Simulation) -> Made:
    return [_dialect("hyp3", "Hyp3Dialect", archive=simulation.archive, bearer=simulation.stage.account["TOKEN"])], account_of


def _dhus(simulation: Simulation) -> Made:
    account = simulation.stage.account
    return [_dialect("dhus", "DhusDialect", simulation.archive, user=account["USERNAME"], password=account["PASSWORD"])], account_of


def _eumetsat(simulation: Simulation) -> Made:
    account = simulation.stage.account
    tokens = Tokens(clients={account["USERNAME"]: account["PASSWORD"]})
    dialect = _dialect("eumetsat", "EumetsatDialect", simulation.archive, allowed=lambda request: tokens.check(request) is None)
    return [tokens, dialect], tokens.account


def _directory(simulation: Simulation) -> Made:
    return [_dialect("autoindex", "AutoindexDialect", simulation.archive, base="/archive", layout=f"{LAYOUT}/")], account_of


def _resto(simulation: Simulation) -> Made:
    return [_dialect("resto", "RestoDialect", simulation.archive, behaviour="2023")], account_of


_MAKERS: Mapping[str, Callable[[Simulation], Made]] = {
    "cdse": _cdse,
    "stac": _stac,
    "m2m": _m2m,
    "hyp3": _hyp3,
    "dhus": _dhus,
    "eumetsat": _eumetsat,
    "directory": _directory,
    "resto": _resto,
}


def _dialect(module: str, name: str, *given: Any, **named: Any) -> Handler:
    """Imported only when it is asked for."""
    handler: Handler = getattr(import_module(f"eolake.ingest.simulators.dialects.{module}"), name)(*given, **named)
    return handler


def _noise(name: str) -> Record:
    """A product of that name whose bytes mean nothing."""
    content = of_bytes(zip_bytes(name, NOISE), media_type="application/zip", filename=f"{name}.zip")
    stamp = re.search(r"\d{8}T\d{6}", name)
    start = datetime.strptime(stamp[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if stamp else datetime(2020, 1, 1, tzinfo=UTC)
    square = [[149.0, -36.0], [151.0, -36.0], [151.0, -34.0], [149.0, -34.0], [149.0, -36.0]]
    return Record(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"eolake-simulator/{name}")),
        name=name,
        collection="noise",
        content=content,
        size=content.size,
        digests=digests(content, "md5", "blake3"),
        published=start + timedelta(hours=6),
        modified=start + timedelta(hours=6),
        start=start,
        end=start + timedelta(minutes=3),
        footprint={"type": "Polygon", "coordinates": [square]},
    )


def _same_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _filled(value: Any, urls: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return FILL.sub(lambda found: urls[found[1]], value).replace("{{", "{").replace("}}", "}")
    if isinstance(value, Mapping):
        return {key: _filled(inner, urls) for key, inner in value.items()}
    return [_filled(inner, urls) for inner in value] if isinstance(value, (list, tuple)) else value


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)
