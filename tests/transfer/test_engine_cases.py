"""One file over HTTP from a server that does everything wrong that providers do wrong: the right bytes, or a fault that says what it is."""

from __future__ import annotations

import hashlib
import json
import random
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Part
from eolake.ingest.simulators.content import of_bytes
from eolake.ingest.simulators.server import Request, Response, Server
from eolake.ingest.transfer.base import Fetched, Limits
from eolake.ingest.transfer.engine import Engine

SIZE = 1_500_000
QUICK = Limits(connect=2, first_byte=3, stall=1, low_speed=50_000, low_speed_time=1.5, rollback=64 * 1024)
SLACK = 64 * 1024 + 300 * 1024
"""Bytes that may come twice: what is compared, and one buffer."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with Server(seed=5) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    shared.reset()
    return shared


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(limits=QUICK)
    yield made
    made.close()


class Case:
    """A file of the server, its digests, and how to fetch it."""

    def __init__(self, server: Server, engine: Engine, folder: Path, *, size: int = SIZE, digests: bool = True) -> None:
        name = f"{folder.name}-{size}.bin"
        self.server, self.engine, self.target = server, engine, folder / name
        url = f"{server.url}/f/{name}?size={size}&seed=1"
        with urllib.request.urlopen(url.replace("/f/", "/digest/"), timeout=10) as answer:
            self.digests = json.load(answer)
        known = {"md5": self.digests["md5"], "blake3": self.digests["blake3"]} if digests else {}
        self.part = Part(url=url, name=name, size=size, digests=known)
        server.reset()

    def fault(self, fault: Mapping[str, Any], **rule: Any) -> None:
        self.server.script([{"match": "/f/*", "fault": fault, **(rule or {"nth": [1]})}])

    def fetch(self, **changes: Any) -> Fetched:
        return self.engine.fetch(replace(self.part, **changes) if changes else self.part, self.target)

    def right(self) -> bool:
        return hashlib.sha256(self.target.read_bytes()).hexdigest() == self.digests["sha256"]

    def persist(self, tries: int = 6) -> Fetched:
        """As a worker does: again and again."""
        for _ in range(tries):
            try:
                return self.fetch()
            except ProviderFault as fault:
                last = fault
        raise last


@pytest.fixture
def case(server: Server, engine: Engine, tmp_path: Path) -> Case:
    return Case(server, engine, tmp_path)


def test_t01_a_200_is_never_appended(case: Case) -> None:
    case.server.script(
        [{"match": "/f/*", "nth": [1], "fault": {"close": {"after": 900_000}}}, {"match": "/f/*", "nth": [2], "fault": {"range": "ignore"}}]
    )
    case.persist()
    assert case.right()


@pytest.mark.parametrize("proof", [{}, {"etag": "weak"}, {"etag": "unquoted"}, {"etag": "none"}, {"etag": "none", "no_modified": True}])
@pytest.mark.parametrize("answer", [{}, {"if_range": "date-only"}, {"if_range": "ignore"}])
@pytest.mark.parametrize("changed", [False, True])
def test_t02_whatever_proves_that_the_file_is_the_same(case: Case, proof: dict[str, Any], answer: dict[str, Any], changed: bool) -> None:
    """Without a digest: the second version must come whole, never a mixture."""
    part = replace(case.part, digests={})
    case.server.script(
        [
            {"match": "/f/*", "nth": [1], "fault": {**proof, "close": {"after": 800_000}}},
            {"match": "/f/*", "fault": {**proof, **answer, **({"version": 1} if changed else {})}},
        ]
    )
    fetched = case.engine.fetch(part, case.target)
    assert case.right() is not changed
    if changed:
        case.server.reset()
        case.server.script([{"match": "/f/*", "fault": {"version": 1}}])
        whole = case.engine.fetch(part, case.target.with_name("whole"))
        assert fetched.sha256 == whole.sha256


@pytest.mark.parametrize("kind", ["shift", "lie", "overlap", "total", "star", "multipart"])
@pytest.mark.parametrize("nth", [1, 2])
def test_t03_ranges_that_are_not_what_was_asked(case: Case, kind: str, nth: int) -> None:
    case.server.script(
        [{"match": "/f/*", "nth": [nth], "fault": {"range": kind}}, {"match": "/f/*", "nth": [1], "fault": {"close": {"after": 700_000}}}]
    )
    case.persist()
    assert case.right()


@pytest.mark.parametrize("there", [0, -100_000, 100_000])
def test_t03_asked_behind_the_end(case: Case, there: int) -> None:
    """416: all is there, less, or more."""
    case.fetch()
    data = case.target.read_bytes()
    case.target.with_name(case.target.name + ".part").write_bytes(data[: SIZE + there] + b"x" * max(0, there))
    case.target.unlink()
    case.persist()
    assert case.right()


@pytest.mark.parametrize(
    "how", [{"close": {"after": 900_000, "how": "fin"}}, {"close": {"after": 900_000, "how": "rst"}}, {"chunked": "cut"}]
)
def test_t04_what_is_cut_off_goes_on(case: Case, how: dict[str, Any]) -> None:
    case.fault(how)
    case.persist()
    assert case.right()
    assert case.server.stats.sent <= SIZE + SLACK


def test_t05_more_bytes_than_announced_are_refused(server: Server, engine: Engine, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(SIZE)
    server.handle(lambda r: Response(body=of_bytes(data)) if r.path == "/more" else None)
    part = Part(url=f"{server.url}/more", name="more.bin", size=SIZE, digests={"md5": hashlib.md5(data[:-5]).hexdigest()})
    with pytest.raises(ProviderFault) as caught:
        engine.fetch(part, tmp_path / "more.bin")
    assert caught.value.kind is Kind.CORRUPT
    assert not (tmp_path / "more.bin").exists()


@pytest.mark.parametrize("fault", [{"stall": {"after": 400_000}}, {"stall": {"after": 0}}, {"drip": {"after": 400_000, "rate": 10}}])
def test_t06_what_stalls_is_cut(case: Case, fault: dict[str, Any]) -> None:
    case.fault(fault)
    case.persist()
    assert case.right()
    assert len(case.server.stats.requests) >= 2


@pytest.mark.parametrize("page", ["login", "maintenance", "error-xml", "error-json", "empty"])
@pytest.mark.parametrize("digests", [True, False])
def test_t07_a_page_is_never_published(server: Server, engine: Engine, tmp_path: Path, page: str, digests: bool) -> None:
    case = Case(server, engine, tmp_path, digests=digests)
    case.fault({"page": page}, every=1)
    with pytest.raises(ProviderFault):
        case.fetch()
    assert not case.target.exists()
    assert case.server.stats.sent < 64 * 1024


def test_t08_a_message_within_the_bytes(case: Case) -> None:
    case.fault({"inject": {"after": 1_200_000}})
    case.persist()
    assert case.right()


def test_t09_other_bytes_are_corrupt_with_both_digests(case: Case) -> None:
    case.fault({"flip": [1000]}, every=1)
    for _ in range(2):
        with pytest.raises(ProviderFault, match=case.digests["md5"]) as caught:
            case.fetch()
        assert caught.value.kind is Kind.CORRUPT
    assert not case.target.exists()
    case.server.reset()
    case.fetch()
    assert case.right()


def archive(broken: bool) -> bytes:
    """A zip; broken: a byte of its member is another one than the checksum says."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("orders.json", "x" * 1000)
    data = bytearray(file.getvalue())
    if broken:
        data[200] ^= 1
    return bytes(data)


def test_t11_a_zip_whose_members_are_broken(server: Server, engine: Engine, tmp_path: Path) -> None:
    """Without a digest the engine looks; with a right one the gate does, when the product is opened."""
    data = archive(broken=True)
    server.handle(lambda r: Response(body=of_bytes(data)) if r.path == "/broken.zip" else None)
    part = Part(url=f"{server.url}/broken.zip", name="broken.zip")
    with pytest.raises(
        ProviderFault, match=r"broken\.zip is broken: it is damaged: member 'orders\.json' has another size or checksum"
    ) as caught:
        engine.fetch(part, tmp_path / "broken.zip")
    assert caught.value.kind is Kind.CORRUPT


def test_t12_the_size_of_the_catalogue_is_advice(case: Case) -> None:
    fetched = case.fetch(size=SIZE + 17)
    assert "the catalogue says" in fetched.warnings[0]
    assert case.right()


@pytest.mark.parametrize("length", ["larger", "smaller", "missing", "negative", "duplicate"])
def test_t12_the_size_of_the_answer_is_a_promise(case: Case, length: str) -> None:
    case.fault({"length": length})
    case.persist()
    assert case.right()


def test_t13_netcdf_where_a_zip_was_expected(server: Server, engine: Engine, tmp_path: Path) -> None:
    data = b"CDF\x01" + random.Random(1).randbytes(1000)
    server.handle(lambda r: Response(body=of_bytes(data)) if r.path == "/S5P.zip" else None)
    assert engine.fetch(Part(url=f"{server.url}/S5P.zip", name="S5P.zip"), tmp_path / "S5P.zip").bytes == len(data)


def test_t14_encoded_answers_are_no_files(case: Case) -> None:
    case.fault({"gzip": True})
    case.persist()
    assert case.right()


def test_t15_all_bytes_are_enough_however_the_connection_ends(case: Case) -> None:
    case.fault({"length": "larger"})
    case.persist()
    assert case.right()


@pytest.mark.parametrize(("wait", "seconds"), [(7, 7.0), ("past", 1.0), ("soon, maybe", None), (None, None)])
def test_t21_too_many_requests_say_how_long(case: Case, wait: Any, seconds: float | None) -> None:
    case.fault({"status": 429, **({"retry_after": wait} if wait is not None else {})}, every=1)
    with pytest.raises(ProviderFault) as caught:
        case.fetch()
    assert caught.value.kind is Kind.RATE
    assert caught.value.retry_after == seconds


def test_t22_a_503_without_a_word_is_no_limit(case: Case) -> None:
    case.fault({"status": 503}, every=1)
    with pytest.raises(ProviderFault) as caught:
        case.fetch()
    assert caught.value.kind is Kind.TRANSIENT


@pytest.mark.parametrize("to", ["loop", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_t36_redirects_that_are_not_followed(case: Case, to: str) -> None:
    case.fault({"redirect": {"to": to}}, every=1)
    with pytest.raises(ProviderFault, match="redirects"):
        case.fetch()
    assert not case.target.exists()


def test_t36_to_another_host_and_back(case: Case) -> None:
    case.fault({"redirect": {"to": "{second}{target}"}})
    case.fetch()
    assert case.right()


@pytest.mark.parametrize("seed", range(12))
def test_random_faults_end_in_the_right_bytes_or_a_fault(server: Server, engine: Engine, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    case = Case(server, engine, tmp_path, size=dice.randrange(1, 900_000), digests=dice.random() < 0.7)
    faults = [
        {"close": {"after": "random", "how": "rst"}},
        {"close": {"after": "random"}},
        {"status": 503},
        {"page": "login"},
        {"range": "ignore"},
        {"range": "shift"},
        {"chunked": "cut"},
        {"etag": "weak"},
        {"gzip": True},
        {"length": "missing"},
    ]
    case.server.script([{"match": "/f/*", "prob": 0.15, "fault": fault} for fault in faults], seed=seed)
    case.persist(tries=60)
    assert case.right()


def test_requests_carry_no_encoding_but_identity(case: Case) -> None:
    seen: list[Request] = []
    case.server.handle(seen.append)
    case.fetch()
    assert seen[0].headers["accept-encoding"] == "identity"
