"""Transfers, side by side with curl, aria2 and rclone on a server of this machine, in one run.

    .venv/bin/python bench/transfer.py [--only one,small,capped,resets,killed,shares,accounts,memory] [--rounds 3] [--scale 1.0]

one       one file, uncapped                                  MB/s, against the fastest of the others
small     many files of 5 MiB, uncapped, 4 at a time          files/s, the same
capped    40 files, each connection capped, 4 connections     share of the ideal time
resets    the same; each 16 MiB have 1 chance in 100 to end in a reset      bytes the server sent, by the bytes that were wanted
killed    the same; the fetch process is killed every few seconds           the same, and what is wrong or double in the lake
shares    three providers with 4, 2 and 1 connections         how much of the time each connection was busy
accounts  5 credentials against one                           times as fast
memory    peak of the fetch process, 8 connections

`one` and `small` measure the engine within a running process, as it is in a worker, and verify sha256 as they go, which the others do not.
Everything else goes through the whole fetch process: ledger, slots, lanes, store. The others need Debian's packages curl, aria2 and rclone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil
from lakes import Bench, bench

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.settings import load_settings
from eolake.ingest.fetching.crew import Crew
from eolake.ingest.fetching.messages import FetchOrder
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer.engine import Engine

MIB = 1 << 20
PLUGINS = Path(__file__).resolve().parents[1] / "tests" / "support" / "probe"
"""Has the provider `probe`."""
CONNECTIONS = 4


# --- the server ---


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A simulator in a process of its own."""

    url: str
    pid: int

    def file(self, name: str, size: int) -> str:
        """The address of a file; its bytes are made from its name."""
        return f"{self.url}/f/{name}?size={size}&seed=1"

    def post(self, path: str, document: Any = None) -> None:
        """Tell it something."""
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(document or {}).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def stats(self) -> Mapping[str, Any]:
        """What it saw since the last reset."""
        with urllib.request.urlopen(f"{self.url}/_stats", timeout=30) as answer:
            found: Mapping[str, Any] = json.load(answer)
        return found

    def warm(self, urls: Sequence[str]) -> None:
        """Let it make the files, so that nobody waits for that."""
        for url in urls:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=0-0"}), timeout=300) as answer:
                answer.read()
        self.post("/_reset")


@contextmanager
def origin() -> Iterator[Origin]:
    """The server runs while the block does."""
    lines = (
        "import sys",
        "from eolake.ingest.simulators.server import Server",
        "s = Server()",
        "print(s.url, flush=True)",
        "sys.stdin.read()",
        "s.close()",
    )
    script = "\n".join(lines)
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdin
    try:
        yield Origin(url=process.stdout.readline().strip(), pid=process.pid)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


# --- the others ---


def curl(urls: Sequence[str], folder: Path) -> list[str]:
    config = folder / "curl.txt"
    config.write_text("".join(f'url = "{url}"\noutput = "{folder / str(n)}"\n' for n, url in enumerate(urls)))
    return ["curl", "-sS", "--parallel", "--parallel-max", str(CONNECTIONS), "-K", str(config)]


def aria2(urls: Sequence[str], folder: Path, split: int = 1) -> list[str]:
    config = folder / "aria2.txt"
    config.write_text("".join(f"{url}\n  out={n}\n" for n, url in enumerate(urls)))
    options = ["-q", "-i", str(config), "-d", str(folder), "-j", str(CONNECTIONS), f"-x{split}", f"-s{split}", "--file-allocation=falloc"]
    return ["aria2c", *options]


def aria2_split(urls: Sequence[str], folder: Path) -> list[str]:
    return aria2(urls, folder, split=4)


def rclone(urls: Sequence[str], folder: Path) -> list[str]:
    config = folder / "rclone.csv"
    config.write_text("".join(f"{url},{n}\n" for n, url in enumerate(urls)))
    one = ["rclone", "copyurl", urls[0], str(folder / "0"), "-q"]
    return (
        one
        if len(urls) == 1
        else [
            "sh",
            "-c",
            f"cut -d, -f1 {config} | nl -v0 -w1 -s' ' | xargs -P {CONNECTIONS} -L1 sh -c 'rclone copyurl -q \"$1\" {folder}/$0'",
        ]
    )


OTHERS: Mapping[str, Callable[[Sequence[str], Path], list[str]]] = {
    "curl": curl,
    "aria2": aria2,
    "aria2 -x4": aria2_split,
    "rclone": rclone,
}


def installed() -> list[str]:
    return [name for name in OTHERS if shutil.which("aria2c" if name.startswith("aria2") else name)]


def theirs(name: str, urls: Sequence[str], sizes: Sequence[int]) -> float:
    """Seconds that another tool takes."""
    with tempfile.TemporaryDirectory(prefix="eolake-bench-") as place:
        folder = Path(place)
        command = OTHERS[name](urls, folder)
        begin = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.monotonic() - begin
        assert [(folder / str(n)).stat().st_size for n in range(len(urls))] == list(sizes), name
    return seconds


# --- ours: the engine alone ---


def ours(urls: Sequence[str], sizes: Sequence[int]) -> float:
    """Seconds that the engine takes, sha256 and fsync included."""
    waiting: SimpleQueue[tuple[int, str]] = SimpleQueue()
    for entry in enumerate(urls):
        waiting.put(entry)
    with tempfile.TemporaryDirectory(prefix="eolake-bench-") as place:
        folder = Path(place)

        def lane() -> None:
            engine = Engine()
            try:
                while True:
                    number, url = waiting.get_nowait()
                    engine.fetch(Part(url=url, name=str(number)), folder / str(number))
            except Empty:
                return
            finally:
                engine.close()

        lanes = [threading.Thread(target=lane) for _ in range(min(CONNECTIONS, len(urls)))]
        begin = time.monotonic()
        for one in lanes:
            one.start()
        for one in lanes:
            one.join()
        seconds = time.monotonic() - begin
        assert [(folder / str(n)).stat().st_size for n in range(len(urls))] == list(sizes)
    return seconds


def compare(title: str, urls: Sequence[str], sizes: Sequence[int], rounds: int) -> None:
    """One round after the other, so that all see the same weather."""
    names = ["eolake", *installed()]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            seconds[name].append(ours(urls, sizes) if name == "eolake" else theirs(name, urls, sizes))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    fastest = min((name for name in names if name != "eolake"), key=medians.__getitem__)
    for name in names:
        print(
            f"  {name:<10} {medians[name]:7.2f} s  {sum(sizes) / medians[name] / 1e6:7.0f} MB/s  {len(urls) / medians[name]:7.1f} files/s"
        )
    print(f"{title}: {medians[fastest] / medians['eolake']:.2f} times the speed of the fastest other ({fastest})")


def one(server: Origin, options: argparse.Namespace) -> None:
    size = int(2048 * MIB * options.scale)
    urls = [server.file("one.bin", size)]
    server.warm(urls)
    compare("one file, uncapped", urls, [size], options.rounds)


def small(server: Origin, options: argparse.Namespace) -> None:
    count = max(4, int(200 * options.scale))
    urls = [server.file(f"small-{n}.bin", 5 * MIB) for n in range(count)]
    server.warm(urls)
    compare(f"{count} files of 5 MiB", urls, [5 * MIB] * count, options.rounds)


# --- ours: the whole fetch process ---


@dataclass(kw_only=True)
class Fetch:
    """A lake with granules that wait, and the process that fetches them."""

    lake: Lake
    lanes: int
    crew: Crew | None = None

    def start(self) -> None:
        """The process, until it is ready."""
        order = FetchOrder(lanes=self.lanes, base=str(self.lake.settings.state / "tmp" / "fetch"))
        self.crew = Crew(lake=self.lake, order=order, wake=lambda: None)
        self.crew.start()

    def kill(self) -> None:
        """kill -9."""
        assert self.crew
        self.crew.kill()
        for said in self.heard(1.0):
            if said.kind == "ended":
                return

    def heard(self, seconds: float) -> Iterator[Any]:
        """What it says within that time."""
        assert self.crew
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield from self.crew.heard()
            time.sleep(0.005)

    def states(self) -> dict[str, int]:
        """Granules by state."""
        with self.lake.connect() as connection:
            return granules.states(connection)

    def until_done(self, *, patience: float = 600) -> float:
        """Wait until all is fetched; the moment of the last one."""
        last = time.monotonic()
        for said in self.heard(patience):
            if said.kind == "fetched":
                last = time.monotonic()
            elif said.kind == "ended":
                raise SystemExit(f"the fetch process ended: {said.text}")
            elif said.kind == "idle" and set(self.states()) == {"fetched"}:
                return last
        raise SystemExit(f"not done: {self.states()}")

    def wrong(self) -> list[str]:
        """Files under raw/ that are not what the server has, and more or fewer than there should be."""
        root = self.lake.store_config.folder
        assert root
        with self.lake.connect() as connection:
            rows = connection.execute("select f.key, g.source from eolake.file f join eolake.granule g using (granule_id)").fetchall()
        faults = [row["key"] for row in rows if _digest(root / row["key"]) != _digest_of(row["source"])]
        there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return faults + sorted(there ^ {row["key"] for row in rows})

    def stop(self) -> None:
        """End it."""
        if self.crew is not None:
            self.crew.stop()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(url: str) -> str:
    with urllib.request.urlopen(url.replace("/f/", "/digest/"), timeout=60) as answer:
        return str(json.load(answer)["sha256"])


def lake_of(made: Bench, name: str, providers: Mapping[str, Mapping[str, Any]]) -> Lake:
    """A lake that knows these providers."""
    lake = made.lake(name)
    path = lake.settings.root / "eolake.toml"
    sections = [
        f"\n[providers.{provider}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())
        for provider, values in providers.items()
    ]
    path.write_text(path.read_text() + "".join(sections))
    return Lake(settings=load_settings(path))


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items()) + " }"
    return json.dumps(value)


def fill(lake: Lake, provider: str, urls: Sequence[str], size: int) -> None:
    """Granules that wait."""
    offers = [
        Offer(
            provider=provider,
            id=f"{provider}-{n}",
            name=f"{provider}-{n}",
            source=url,
            fingerprint="1",
            size=size,
            detail={"parts": [{"url": url, "name": f"{provider}-{n}.bin", "size": size}]},
        )
        for n, url in enumerate(urls)
    ]
    with lake.connect() as connection:
        granules.offer(connection, offers)


def probe(**more: Any) -> dict[str, Any]:
    """A provider whose granules say themselves where their files are."""
    return {"kind": "probe", "connections": CONNECTIONS, **more}


def timed(fetch: Fetch) -> float:
    """Seconds from the first request to the last file (the provider of the tests imports half a second of what no real one needs)."""
    fetch.start()
    for said in fetch.heard(60):
        if said.kind == "started":
            begin = time.monotonic()
            return fetch.until_done() - begin
    raise SystemExit("the fetch process does not start")


def capped(server: Origin, options: argparse.Namespace) -> None:
    """Each connection at 20 MB/s, four of them."""
    rate, count, size = 20_000_000, 40, int(64 * MIB * options.scale)
    urls = [server.file(f"capped-{n}.bin", size) for n in range(count)]
    with bench() as made:
        server.warm(urls)
        server.post("/_limits", {"connections": CONNECTIONS, "rate": rate})
        fetch = Fetch(lake=lake_of(made, "capped", {"probe": probe()}), lanes=CONNECTIONS)
        fill(fetch.lake, "probe", urls, size)
        seconds, ideal = timed(fetch), count * size / (rate * CONNECTIONS)
        fetch.stop()
        print(f"capped: {seconds:.2f} s, ideal {ideal:.2f} s: {ideal / seconds:.1%}")
        for name in installed():
            server.post("/_reset")
            server.post("/_limits", {"connections": CONNECTIONS, "rate": rate})
            if not name.endswith("-x4"):
                print(f"  {name:<10} {ideal / theirs(name, urls, [size] * count):.1%}")
        server.post("/_reset")


def resets(server: Origin, options: argparse.Namespace) -> None:
    """Each 16 MiB end in a reset once in a hundred times."""
    count, size = 40, int(128 * MIB * options.scale)
    urls = [server.file(f"resets-{n}.bin", size) for n in range(count)]
    rules = [{"match": "/f/*", "fault": {"reset": {"each": 16 * MIB, "prob": 0.01}}}]
    with bench() as made:
        server.warm(urls)
        server.post("/_script", rules)
        fetch = Fetch(lake=lake_of(made, "resets", {"probe": probe()}), lanes=CONNECTIONS)
        fill(fetch.lake, "probe", urls, size)
        timed(fetch)
        fetch.stop()
        stats = server.stats()
        server.post("/_reset")
        again = f"the server sent {stats['sent'] / (count * size):.4f} times the bytes, {len(stats['requests']) - count} resumed"
        print(f"resets: {again}; wrong: {fetch.wrong() or 'nothing'}")


def killed(server: Origin, options: argparse.Namespace) -> None:
    """kill -9 of the fetch process every few seconds."""
    count, size, dice = 40, int(64 * MIB * options.scale), random.Random(7)
    urls = [server.file(f"killed-{n}.bin", size) for n in range(count)]
    with bench() as made:
        server.warm(urls)
        server.post("/_limits", {"connections": CONNECTIONS, "rate": 20_000_000})
        fetch = Fetch(lake=lake_of(made, "killed", {"probe": probe()}), lanes=CONNECTIONS)
        fill(fetch.lake, "probe", urls, size)
        kills = 0
        while True:
            fetch.start()
            until = time.monotonic() + dice.uniform(3, 7)
            while time.monotonic() < until and set(fetch.states()) != {"fetched"}:
                for said in fetch.heard(0.2):
                    if said.kind == "ended":
                        raise SystemExit(said.text)
            if set(fetch.states()) == {"fetched"}:
                break
            fetch.kill()
            kills += 1
        fetch.stop()
        sent = server.stats()["sent"]
        server.post("/_reset")
        again = (sent - count * size) / max(kills, 1) / CONNECTIONS
        wrong = fetch.wrong() or "nothing"
        print(f"killed {kills} times: {again / 1024:.0f} KiB again for each kill and connection; wrong or double: {wrong}")


def shares(server: Origin, options: argparse.Namespace) -> None:
    """Three providers with 4, 2 and 1 connections: how busy each connection is."""
    rate, size, seconds = 5_000_000, int(8 * MIB), 20 * options.scale
    kinds = {"one": 4, "two": 2, "three": 1}
    urls = {
        name: [server.file(f"{name}-{n}.bin", size) for n in range(int(slots * seconds * rate / size) + slots)]
        for name, slots in kinds.items()
    }
    with bench() as made:
        server.warm([url for each in urls.values() for url in each])
        server.post("/_limits", {"rate": rate})
        lake = lake_of(made, "shares", {name: probe(connections=slots) for name, slots in kinds.items()})
        fetch = Fetch(lake=lake, lanes=sum(kinds.values()))
        for name, each in urls.items():
            fill(lake, name, each, size)
        fetch.start()
        for said in fetch.heard(60):
            if said.kind == "ready":
                break
        time.sleep(2)
        before, begin = by_provider(server, kinds), time.monotonic()
        time.sleep(seconds * 0.6)
        after, took = by_provider(server, kinds), time.monotonic() - begin
        for name, slots in kinds.items():
            print(f"shares: {name} with {slots}: {(after[name] - before[name]) / (rate * slots * took):.1%} busy")
        fetch.stop()
        server.post("/_reset")


def by_provider(server: Origin, names: Mapping[str, int]) -> dict[str, int]:
    """Bytes that were sent so far of the files of each."""
    paths = server.stats()["paths"]
    return {name: sum(seen["sent"] for path, seen in paths.items() if path.startswith(f"/f/{name}-")) for name in names}


def accounts(server: Origin, options: argparse.Namespace) -> None:
    """Five credentials against one; each connection capped, so that only their number counts."""
    rate, count, size = 4_000_000, 60, int(4 * MIB * options.scale)
    urls = [server.file(f"accounts-{n}.bin", size) for n in range(count)]
    with bench() as made:
        server.warm(urls)
        seconds = {}
        for many in (1, 5):
            server.post("/_limits", {"rate": rate})
            names = [f"env:BENCH{n}" for n in range(many)]
            for n in range(many):
                os.environ |= {f"BENCH{n}_USERNAME": f"user{n}", f"BENCH{n}_PASSWORD": "secret"}
            host = server.url.partition("://")[2]
            provider = probe(connections=1, credentials=names, auth={"kind": "basic"}, auth_hosts=[host])
            fetch = Fetch(lake=lake_of(made, f"accounts{many}", {"probe": provider}), lanes=many)
            fill(fetch.lake, "probe", urls, size)
            seconds[many] = timed(fetch)
            fetch.stop()
        server.post("/_reset")
        print(f"accounts: five are {seconds[1] / seconds[5]:.2f} times as fast as one ({seconds[1]:.1f} s, {seconds[5]:.1f} s)")


def memory(server: Origin, options: argparse.Namespace) -> None:
    """Peak of the fetch process with eight connections."""
    count, size = 40, int(256 * MIB * options.scale)
    urls = [server.file(f"memory-{n}.bin", size) for n in range(count)]
    with bench() as made:
        server.warm(urls)
        fetch = Fetch(lake=lake_of(made, "memory", {"probe": probe(connections=8)}), lanes=8)
        fill(fetch.lake, "probe", urls, size)
        peak = 0

        def watch() -> None:
            nonlocal peak
            while fetch.crew is None or fetch.crew.running:
                for child in psutil.Process().children():
                    if "eolake.ingest.fetch" in child.cmdline():
                        peak = max(peak, child.memory_info().rss)
                time.sleep(0.05)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        seconds = timed(fetch)
        fetch.stop()
        print(f"memory: {peak / MIB:.0f} MiB at most while {count * size / 1e9:.1f} GB came in {seconds:.1f} s")


SCENARIOS: Mapping[str, Callable[[Origin, argparse.Namespace], None]] = {
    "one": one,
    "small": small,
    "capped": capped,
    "resets": resets,
    "killed": killed,
    "shares": shares,
    "accounts": accounts,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of sizes and counts")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, str(PLUGINS))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, with: {', '.join(installed()) or 'none of the others'}")
    with origin() as server:
        for name in options.only.split(","):
            print(f"\n{name}", flush=True)
            SCENARIOS[name](server, options)


if __name__ == "__main__":
    main()
