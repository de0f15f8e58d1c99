"""Files over FTP from a server that cuts, refuses and changes: there is no digest, so size and time must hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Part
from eolake.ingest.simulators.ftp import FtpFaults, FtpServer
from eolake.ingest.transfer.base import Limits
from eolake.ingest.transfer.engine import Engine

DATA = random.Random(1).randbytes(900_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FtpServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    with FtpServer(folder=folder, accounts={"anonymous": ""}) as made:
        yield made


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(limits=Limits(connect=3, first_byte=5, stall=2))
    yield made
    made.close()


def part(server: FtpServer) -> Part:
    return Part(url=f"ftp://127.0.0.1:{server.port}/a.bin", name="a.bin", size=len(DATA))


@pytest.mark.parametrize("how", ["426", "control", "silent"])
def test_t33_what_is_cut_off_goes_on(server: FtpServer, engine: Engine, tmp_path: Path, how: str) -> None:
    server.misbehave(FtpFaults(drop=500_000, times=1, how=how))  # type: ignore[arg-type]
    engine.fetch(part(server), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert [argument for command, argument in server.stats.commands if command == "REST"] == [str(500_000 - Limits().rollback)]


def test_t33_a_server_that_does_not_resume_sends_it_all_again(server: FtpServer, engine: Engine, tmp_path: Path) -> None:
    server.misbehave(FtpFaults(drop=500_000, times=1, no_rest=True))
    engine.fetch(part(server), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_t33_a_file_that_changed_in_between_begins_anew(server: FtpServer, engine: Engine, tmp_path: Path) -> None:
    server.misbehave(FtpFaults(drop=60_000))  # too little to go on at once
    with pytest.raises(ProviderFault) as caught:
        engine.fetch(part(server), tmp_path / "a.bin")
    assert caught.value.kind is Kind.TRANSIENT
    assert (tmp_path / "a.bin.part").stat().st_size > 50_000
    other = random.Random(2).randbytes(700_000)
    (server.folder / "a.bin").write_bytes(other)
    server.misbehave(FtpFaults())
    engine.fetch(Part(url=part(server).url, name="a.bin"), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == other


def test_t33_too_many_sessions_are_a_limit(server: FtpServer, engine: Engine, tmp_path: Path) -> None:
    server.misbehave(FtpFaults(connections=1))
    first = Engine()
    first.fetch(part(server), tmp_path / "first.bin")  # its session stays open
    with pytest.raises(ProviderFault) as caught:
        engine.fetch(part(server), tmp_path / "a.bin")
    first.close()
    assert caught.value.kind is Kind.RATE


def test_t33_what_is_not_there(server: FtpServer, engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ProviderFault) as caught:
        engine.fetch(Part(url=f"{part(server).url}x", name="a.binx"), tmp_path / "x")
    assert caught.value.kind is Kind.GONE


@pytest.mark.parametrize("fault", [FtpFaults(no_size=True), FtpFaults(listing="dos", no_mlsd=True)])
def test_t33_without_size(server: FtpServer, engine: Engine, tmp_path: Path, fault: FtpFaults) -> None:
    server.misbehave(fault)
    engine.fetch(part(server), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA
