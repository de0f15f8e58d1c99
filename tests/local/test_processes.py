"""Processes are recognised, not guessed, and they end."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from eolake.catalog.local.processes import Process, Record, born, read_record, start, stop, tail, this_process, write_record

STUBBORN = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye")))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = start(["sleep", "60"], folder=tmp_path, log=tmp_path / "logs" / "sleep.log")
    yield process
    stop([process])


def test_started_apart_from_us(sleeper: Process) -> None:
    assert sleeper.alive()
    assert os.getsid(sleeper.pid) == sleeper.pid != os.getsid(0)


def test_the_same_number_is_not_the_same_process(sleeper: Process) -> None:
    earlier = dataclasses.replace(sleeper, created=sleeper.created - 3600)
    assert not earlier.alive()
    stop([earlier])
    assert sleeper.alive()


def test_a_process_is_born_once_whatever_the_wall_clock_says(sleeper: Process) -> None:
    assert born(sleeper.pid) == born(sleeper.pid)
    assert abs(born(sleeper.pid) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60  # a clock that nobody sets
    with pytest.raises(psutil.NoSuchProcess):
        born(2**22 + 1)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    process = Process(pid=child.pid, created=born(child.pid))
    assert within(10, lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not process.alive()
    child.wait()


def test_stop_is_polite_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start([sys.executable, "-c", POLITE], folder=tmp_path, log=log)
    await_line(log)
    stop([process])
    assert not process.alive()
    assert tail(log) == "ready\nbye"


def test_who_does_not_listen_is_killed_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start([sys.executable, "-c", STUBBORN], folder=tmp_path, log=log)
    grandchild = int(await_line(log))
    stop([process], patience=0.2)
    assert not process.alive()
    assert within(5, lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE)


def test_the_record_is_kept(tmp_path: Path) -> None:
    assert read_record(tmp_path / "stack.json") is None
    record = Record(root="/somewhere", database=True, processes={"http": Process(pid=1, created=2.5, url="http://127.0.0.1:1")})
    write_record(tmp_path / "stack.json", record)
    assert read_record(tmp_path / "stack.json") == record
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_we_are_alive() -> None:
    assert this_process().alive()


def await_line(log: Path) -> str:
    assert within(20, lambda: "\n" in log.read_text())
    return log.read_text().splitlines()[0]


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (fulfilled := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return fulfilled
