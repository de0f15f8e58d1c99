"""Lanes: threads that lease a granule together with a connection, and bring its files under `raw/`.

All that must last stands in the ledger and on the disk; a lane may end at any instruction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from eolake.catalog.errors import BadProduct, ConfigError, Fenced, Transient
from eolake.catalog.failpoints import failpoint
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules, publications, slots, transfers
from eolake.catalog.ledger import raw as ledger_raw
from eolake.catalog.ledger.slots import Account, Slot
from eolake.catalog.ledger.transfers import Claim, RawFile
from eolake.catalog.store import Store, open_store
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.fetching import raw
from eolake.ingest.fetching.accounts import ANONYMOUS, Accounts
from eolake.ingest.fetching.desk import Desk
from eolake.ingest.fetching.messages import FetchOrder, Said
from eolake.ingest.link import Link
from eolake.ingest.owner import dead, machine, own_name
from eolake.ingest.providers.base import Part, ProviderConfig
from eolake.ingest.settings import WorkerSettings
from eolake.ingest.transfer.base import Fetched, Limits
from eolake.ingest.transfer.engine import Engine, Stopped

POLL = 0.5
"""Seconds between two looks for work by an idle lane."""
TURN = 30.0
"""Seconds after which a lane leaves its connection to others, so that all providers are served."""
RENEWALS = 3
"""Times that a granule's URLs are made anew in one attempt, because they expired."""
LOOK = 5.0
"""Seconds between two looks for new providers and dead owners."""
FULL = 30.0
"""Seconds that all lanes rest when the disk is full."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Held:
    """A claim that a lane works on."""

    claim: Claim
    lost: bool = False
    received: int = 0
    """Bytes that came in this attempt."""
    won: int = 0
    """Bytes of them that are kept."""


@dataclass(kw_only=True)
class Fetcher:
    """The lanes of one process and what they share."""

    lake: Lake
    order: FetchOrder
    say: Callable[[Said], None]
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    limits: Limits = field(default_factory=Limits)
    _stop: threading.Event = field(default_factory=threading.Event)
    _held: dict[int, Held] = field(default_factory=dict)
    _traffic: Counter[int] = field(default_factory=Counter)
    _grown: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _providers: tuple[str, ...] = ()
    _refused: dict[str, str] = field(default_factory=dict)
    _full_until: float = 0.0
    _owner: str = field(default_factory=own_name)

    def __post_init__(self) -> None:
        self.accounts = Accounts(settings=self.lake.settings)
        self.link = Link(self.lake, name="eolake fetch", patience=self.settings.patience, giving_up=self._stop.is_set)
        self.store: Store = open_store(self.lake.store_config)

    def stop(self) -> None:
        """End soon; safe within a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Fetch until told to stop. Raises Unreachable when the database stays away."""
        lanes = [threading.Thread(target=self._guard, args=(Lane(self).run,), name=f"lane {n}") for n in range(self.order.lanes)]
        try:
            self._look()
            self.say(Said(kind="ready"))
            for lane in lanes:
                lane.start()
            self._keep_house()
        finally:
            self._stop.set()
            for lane in lanes:
                if lane.ident is not None:
                    lane.join()
            self._flush()
            self.accounts.close()
            self.link.close()
        if self._error is not None:
            raise self._error

    # --- the house: leases, traffic, dead neighbours, new providers ---

    _error: BaseException | None = None

    def _guard(self, work: Callable[[], None]) -> None:
        """A lane that cannot go on ends all of them: the worker hears why."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- raised again by `run`
            self._error = self._error or error
            self._stop.set()

    def _keep_house(self) -> None:
        beat = self.settings.lease / 4
        kept = looked = idle = time.monotonic()
        while not self._stop.wait(0.25):
            now = time.monotonic()
            self._tell_growth()
            if now - kept > min(beat, 2.0):
                kept = now
                self._flush()
                self._keep()
            if now - looked > LOOK:
                looked = now
                self._look()
            if now - idle > POLL:
                idle = now
                self._tell_idle()

    def _keep(self) -> None:
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        lost = self.link.run(lambda c: transfers.keep(c, [(h.claim, h.received) for h in held], self.lease))
        for one in held:
            one.lost = one.lost or one.claim.lease.fence in lost

    def _flush(self) -> None:
        """Bytes received since the last time, for the budgets."""
        with self._lock:
            traffic, self._traffic = self._traffic, Counter()
        for credential_id, received in traffic.items():
            self.link.run(lambda c, i=credential_id, n=received: slots.add_traffic(c, i, n))  # type: ignore[misc]

    def _look(self) -> None:
        """Which providers have something to fetch; and free what dead neighbours held."""
        names = self.link.run(ledger_raw.providers)
        configs = []
        for name in names:
            try:
                configs.append(self.accounts.config(name))
            except ConfigError as error:
                if self._refused.get(name) != str(error):
                    self._refused[name] = str(error)
                    log.error("nothing is fetched from %s: %s", name, error)  # noqa: TRY400 -- the message says it all
        accounts = [account for config in configs for account in accounts_of(config)]
        if accounts:
            self.link.run(lambda c: slots.configure(c, accounts))
        self.link.run(slots.tend)
        self._providers = tuple(config.name for config in configs)
        owners = self.link.run(slots.owners)
        gone = dead(owners - {self._owner})
        if gone:
            self.link.run(lambda c: slots.expire(c, gone))
            self.link.run(lambda c: granules.expire(c, gone))

    def _tell_idle(self) -> None:
        with self._lock:
            if self._held:
                return
        wait = self.link.run(lambda c: transfers.due_in(c, providers=self._providers, only=self.order.only))
        self.say(Said(kind="idle", seconds=None if wait is None else wait.total_seconds()))

    def _tell_growth(self) -> None:
        with self._lock:
            grown, self._grown = self._grown, Counter()
        for granule_id, received in grown.items():
            self.say(Said(kind="bytes", granule_id=granule_id, bytes=received))

    # --- for the lanes ---

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts without being kept."""
        return timedelta(seconds=self.settings.lease)

    @property
    def stopping(self) -> bool:
        """Whether all is to end soon."""
        return self._stop.is_set()

    def claim(self, slot: Slot | None) -> Held | None:
        """A granule and a connection, or a granule for the connection `slot`; None when there is nothing to do."""
        if not self._providers or self.stopping or time.monotonic() < self._full_until:
            return None
        providers, only = self._providers, self.order.only
        claim = self.link.run(lambda c: transfers.claim(c, owner=self._owner, lease=self.lease, providers=providers, only=only, slot=slot))
        if claim is None:
            return None
        held = Held(claim)
        with self._lock:
            self._held[claim.lease.fence] = held
        return held

    def done_with(self, held: Held) -> None:
        """The lane has nothing more to do with it."""
        with self._lock:
            self._held.pop(held.claim.lease.fence, None)

    def received(self, held: Held, count: int) -> None:
        """Bytes came."""
        with self._lock:
            held.received += count
            self._traffic[held.claim.credential_id] += count
            self._grown[held.claim.granule.granule_id] += count

    def free(self, slot: Slot) -> None:
        """The connection is closed."""
        self.link.run(lambda c: slots.free(c, slot))

    def rest(self) -> None:
        """The disk is full: nobody writes for a while."""
        self._full_until = time.monotonic() + FULL

    def wait(self, seconds: float) -> None:
        """Until then or the end."""
        self._stop.wait(seconds)


class Lane:
    """One thread, one connection to a provider at a time, kept open from granule to granule."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher, self.link = fetcher, fetcher.link
        self._engine: Engine | None = None
        self._slot: Slot | None = None
        self._since = 0.0

    def run(self) -> None:
        """Until the process ends."""
        try:
            while not self.fetcher.stopping:
                held = self._next()
                if held is None:
                    self.fetcher.wait(POLL)
                else:
                    self._work(held)
        finally:
            self._hang_up()

    def _next(self) -> Held | None:
        """For the connection that is open, as long as it was not long; else for any."""
        if self._slot is not None and time.monotonic() - self._since < TURN:
            held = self.fetcher.claim(self._slot)
            if held is not None:
                self._slot = held.claim.slot
                return held
        self._hang_up()
        held = self.fetcher.claim(None)
        if held is not None:
            self._slot, self._since = held.claim.slot, time.monotonic()
        return held

    def _hang_up(self) -> None:
        """Close the connection, and only then let somebody else have it."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        slot, self._slot = self._slot, None
        if slot is not None:
            self.fetcher.free(slot)

    def _dial(self, provider: str) -> Engine:
        """The engine, with the certificates that the provider's option `ca_file` names."""
        if self._engine is None:
            ca_file = self.fetcher.accounts.config(provider).options.get("ca_file")
            self._engine = Engine(limits=self.fetcher.limits, ca_file=Path(ca_file) if ca_file else None)
        return self._engine

    def _work(self, held: Held) -> None:
        claim = held.claim
        failpoint("fetch:claimed")
        begin = time.monotonic()
        try:
            files = self._fetch(held)
        except Stopped:
            self._give_back(held)
        except Fenced:
            self._tell(claim, "failed", verdict="lost")
        except ProviderFault as fault:
            self._failed(held, fault)
        except (BadProduct, ConfigError) as error:
            self._failed(held, ProviderFault(str(error), Kind.CONFIG))
        except (Transient, OSError) as error:  # the disk, the store
            log.warning("%s: %s; resting", claim.granule.name, error)
            self.fetcher.rest()
            self._give_back(held)
        except Exception as error:  # whatever a provider's code does with one granule stops no other
            log.exception("%s", claim.granule.name)
            self._failed(held, ProviderFault(f"unexpected {type(error).__name__}: {error}", Kind.TRANSIENT))
        else:
            self._tell(claim, "fetched", bytes=sum(f.bytes for f in files), seconds=time.monotonic() - begin)
        finally:
            self.fetcher.done_with(held)

    def _fetch(self, held: Held) -> list[RawFile]:
        fetcher, claim = self.fetcher, held.claim
        granule, prefix = claim.granule, raw.prefix(claim.granule, claim.lease)
        if granule.faults >= fetcher.settings.deaths:
            raise BadProduct(f"{granule.faults} workers died while they fetched it")
        with Desk(Path(fetcher.order.base), granule, claim.lease) as desk:
            before = desk.size()
            try:
                fetched = self._bring(held, desk)
            finally:
                held.won = max(0, desk.size() - before)
            failpoint("fetch:downloaded")
            self.link.run(lambda c: publications.stage(c, claim.lease, [prefix]))
            for name in fetched:
                fetcher.store.adopt(f"{prefix}/{name}", desk.path(name))
                failpoint("fetch:placed")
            fetcher.store.sync(prefix)
            failpoint("fetch:synced")
            files = [_file(name, part, one, f"{prefix}/{name}") for name, (part, one) in fetched.items()]
            self.link.run(lambda c: _record(c, claim, files, prefix))
            failpoint("fetch:committed")
            if fetcher.store.config.folder is not None:
                desk.remove()
        return files

    def _bring(self, held: Held, desk: Desk) -> dict[str, tuple[Part, Fetched]]:
        """All files of the granule onto the desk, verified."""
        for _ in range(RENEWALS):
            try:
                return self._bring_once(held, desk)
            except ProviderFault as fault:
                if fault.code != "expired":
                    raise
                log.info("%s: its address expired; asking for another", held.claim.granule.name)
        return self._bring_once(held, desk)

    def _bring_once(self, held: Held, desk: Desk) -> dict[str, tuple[Part, Fetched]]:
        claim, accounts = held.claim, self.fetcher.accounts
        parts = raw.names(claim.granule, accounts.provider(claim.provider, claim.credential).resolve(claim.granule))
        self._tell(claim, "started", bytes=sum(part.size or 0 for part in parts.values()))
        known = desk.known()
        fetched: dict[str, tuple[Part, Fetched]] = {}
        for name, part in parts.items():
            one = known.get(name) or self._one(held, part, desk, name)
            if one is not None:
                fetched[name] = (part, one)
        return fetched

    def _one(self, held: Held, part: Part, desk: Desk, name: str) -> Fetched | None:
        """One file; None for an overview that its provider does not give."""
        claim = held.claim
        login = self.fetcher.accounts.login(claim.provider, claim.credential)
        try:
            one = self._dial(claim.provider).fetch(
                part,
                desk.path(name),
                login=login if part.login else None,
                s3=self.fetcher.accounts.config(claim.provider).options.get("s3"),
                progress=lambda count: self.fetcher.received(held, count),
                stop=lambda: self.fetcher.stopping or held.lost,
            )
        except ProviderFault as fault:
            if part.role == "overview" and fault.kind is not Kind.RATE:  # a bonus: neither the product nor its host pays for it
                log.warning("%s: no overview: %s", claim.granule.name, fault)
                return None
            self._note_host(claim, part, fault)
            raise
        if part.role == "data":
            self._note_host(claim, part, None)
        desk.note(name, one)
        failpoint("fetch:file")
        return one

    def _note_host(self, claim: Claim, part: Part, fault: ProviderFault | None) -> None:
        """For the circuit breaker."""
        if fault is None or fault.kind is Kind.TRANSIENT:
            host = urlsplit(part.url).netloc.rpartition("@")[2]
            self.link.run(lambda c: slots.host_result(c, claim.provider, host, ok=fault is None, fence=claim.lease.fence))

    def _failed(self, held: Held, fault: ProviderFault) -> None:
        claim = held.claim
        reason = f"{fault}" if fault.code is None else f"{fault} ({fault.code})"
        log.info("%s: %s: %s", claim.granule.name, fault.kind, reason)
        if fault.kind in {Kind.RATE, Kind.AUTH, Kind.TRANSIENT}:
            self._hang_up()
        try:
            state = self.link.run(
                lambda c: transfers.fail(c, claim, kind=fault.kind.value, reason=reason, retry_after=fault.retry_after, won=held.won)
            )
        except Fenced:
            self._tell(claim, "failed", verdict="lost")
            return
        self._tell(claim, "failed", text=reason, verdict="quarantined" if state == "quarantined" else "later")

    def _give_back(self, held: Held) -> None:
        if held.lost:
            self._tell(held.claim, "failed", verdict="lost")
            return
        try:
            self.link.run(lambda c: transfers.release(c, held.claim))
        except Fenced:
            log.info("%s: the lease was lost", held.claim.granule.name)

    def _tell(self, claim: Claim, kind: str, **more: object) -> None:
        granule = claim.granule
        self.fetcher.say(Said(kind=kind, granule_id=granule.granule_id, name=granule.name, provider=claim.provider, **more))  # type: ignore[arg-type]


def accounts_of(config: ProviderConfig) -> list[Account]:
    """The accounts of a provider; one that needs none has an anonymous one."""
    shared = {"provider": config.name, "connections": config.connections, "budget": config.budget, "release_lag": config.release_lag}
    return [Account(name=name, **shared) for name in config.credentials or (ANONYMOUS,)]  # type: ignore[arg-type]


def _file(name: str, part: Part, fetched: Fetched, key: str) -> RawFile:
    return RawFile(
        name=name,
        size=part.size,
        digests=dict(fetched.digests or part.digests),
        etag=fetched.etag,
        last_modified=fetched.last_modified,
        key=key,
        sha256=fetched.sha256,
        bytes=fetched.bytes,
        warnings=tuple(fetched.warnings),
    )


def _record(connection: Connection, claim: Claim, files: Sequence[RawFile], prefix: str) -> None:
    """The files are the granule's, and no debris any more: in one transaction."""
    with connection.transaction():
        ledger_raw.replace(connection, claim.granule.granule_id, prefix)
        transfers.fetched(connection, claim, files, machine=machine())
        failpoint("fetch:before-commit")
