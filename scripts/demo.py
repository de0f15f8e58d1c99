"""The demo: a small lake from nothing, with the commands that a user would type. No account, no network.

    make demo                     or: .venv/bin/python scripts/demo.py
    make demo ARGS=--keep-up      leave the lake running
    make demo ARGS=--fresh        throw the old one away first

It makes Landsat, Sentinel-2 and Sentinel-3 products over New South Wales, before, during and after a fire, and lets two simulated providers
have them: CDSE and USGS. From there it searches, downloads and ingests them into a lake in `demo-lake/`, derives vegetation indices, checks
the lake, searches it, loads a cube, counts the fires and draws the change of NBR. A second run finds everything there and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAKE = ROOT / "demo-lake"
EOLAKE = Path(sys.executable).with_name("eolake")
BBOX = (150.225, -34.042, 150.375, -33.918)
"""Around the fire: west, south, east, north."""
TIME = ("2019-12-01", "2020-02-01")
MONTHLY = "vegetation_indices_month"
FIRES = "s3_slstr_l2_frp"
PASS = "2020-01-04T00:00:00Z"
"""Sentinel-3A comes by an hour before: on the morning of 4 January in Sydney."""
PASSES = {"s3_olci_l1_efr": "S3A_OL_1_EFR_*", FIRES: "S3A_SL_2_FRP_*"}
"""Kind of product → its name."""
PROVIDERS = {"cdse": ("s2_l2a", "s2_l1c", *PASSES), "m2m": ("ls8_c2_l2", "ls8_c2_l1")}
"""Simulator → what is ordered from it."""
BLOCK = "# --- the simulated providers of this run ---"
READY = 60.0
"""Seconds that a simulator may take to start."""
FOREIGN = ("EOLAKE_", "PG", "ODC_", "DATACUBE_", "AWS_", "DASK_")
"""Variables that could point the demo at another lake or database."""


SIMULATORS: list[subprocess.Popen[str]] = []
SECRETS: dict[str, str] = {}
"""Variables with the accounts at the simulated providers."""


@dataclass(kw_only=True)
class Account:
    """What was done and how long it took."""

    began: float = field(default_factory=time.monotonic)
    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Prints a heading, and at the end how long it took."""
        print(f"\n{len(self.steps) + 1}. {title}", flush=True)
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        self.steps.append((title, seconds))
        print(f"   ({seconds:.1f} s)", flush=True)


def main() -> int:
    """Runs the demo; returns the exit code."""
    options = _options()
    if options.fresh and LAKE.exists():
        _lake("down", quiet=True, check=False)
        shutil.rmtree(LAKE)
    again = (LAKE / "eolake.toml").exists()
    account = Account()
    try:
        before = _bring_in(account)
        facts = _use(account)
        _sum_up(account, facts, before, again=again)
    finally:
        for simulator in SIMULATORS:
            simulator.terminate()
            simulator.wait()
        if not options.keep_up and (LAKE / "eolake.toml").exists():
            _lake("down", quiet=True)
    _farewell(facts, keep_up=options.keep_up)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep-up", action="store_true", help="leave the lake running at the end")
    parser.add_argument("--fresh", action="store_true", help="remove demo-lake/ first")
    return parser.parse_args()


def _bring_in(account: Account) -> Mapping[str, int]:
    """Products, lake, ingest, analysis; returns the objects counted before anything was brought in."""
    with account.step("Products: Landsat 8, Sentinel-2 and Sentinel-3 over New South Wales, around a fire of December 2019"):
        products = _products()
        print(f"   {products} products, {_size(LAKE / 'products') / 1e6:.1f} MB")
    with account.step("A lake: a folder with its own PostgreSQL, catalog, cube and HTTP app"):
        if not (LAKE / "eolake.toml").exists():
            _run("init", "demo-lake")
        _lake("up", "--detach")
    before = _counts()
    with account.step("Providers: CDSE and USGS, simulated on this machine, have the products"):
        _providers()
    bbox = ",".join(str(side) for side in BBOX)
    where = ("--datetime", "/".join(TIME), "--bbox", bbox)
    with account.step("Search, download, ingest: every product becomes COGs, a STAC item and a cube dataset in one transaction"):
        _lake("search", "cdse", "s2_l2a", *where)
        for provider, collections in PROVIDERS.items():
            for collection in collections:
                _lake("ingest", provider, collection, *where)
    with account.step("Analysis: NDVI and NBR of every scene, and the monthly medians of both missions together"):
        inputs = ("--collection", "ls8_c2_l2", "--collection", "s2_l2a", "--mix")
        _lake("analyse", "vegetation_indices", *where, *inputs)
    return before


def _products() -> int:
    """Make them, unless they are there; how many there are."""
    print("   $ eolake simulate products demo-lake/products", flush=True)
    products = _json("simulate", "products", "demo-lake/products")["products"]
    for kind, name in PASSES.items():
        if not list((LAKE / "products").glob(name)):
            _run("simulate", "products", "demo-lake/products", "--kind", kind, "--when", PASS)
    return len(products) + len(PASSES)


def _providers() -> None:
    """Start the simulators, and write into eolake.toml where they are."""
    toml = LAKE / "eolake.toml"
    blocks = [_simulator(name) for name in PROVIDERS]
    toml.write_text("\n".join([toml.read_text().partition(BLOCK)[0].rstrip(), "", BLOCK, *blocks]))


def _simulator(name: str) -> str:
    """A simulated provider with the products of the demo; its lines for eolake.toml."""
    command = ["simulate", name, "--products", "demo-lake/products"]
    print(f"   $ eolake {' '.join(command)} &", flush=True)
    process = subprocess.Popen([EOLAKE, *command, "--json"], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True)
    SIMULATORS.append(process)
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], READY)
    line = process.stdout.readline() if ready else ""
    if not line:
        sys.exit(f"demo: `eolake {' '.join(command)}` did not start; what it said stands above")
    said = json.loads(line)
    SECRETS.update(said["environment"])
    print(f"     {said['url']}: {said['products']} products; its account comes from the environment")
    return str(said["block"])


def _use(account: Account) -> dict[str, Any]:
    """Check, search, cube, picture; returns what was found."""
    facts: dict[str, Any] = {}
    with account.step("Check: store, catalog and cube compared, object by object"):
        _lake("check")
    with account.step("Search: the STAC API, as any client sees it"):
        facts["url"] = _facts("status")["url"]
        _search(f"{facts['url']}/stac")
    with account.step("Cube: datacube.load with nothing but the variables of `eolake env`"):
        os.environ.update(_facts("env"))
        facts |= _cube()
    with account.step("Fires: what Sentinel-3 saw of them, as a table and on the grid of the cube"):
        _fires(f"{facts['url']}/stac")
    return facts


def _search(url: str) -> None:
    from pystac_client import Client

    client = Client.open(url)
    found = client.search(
        bbox=BBOX, datetime="/".join(TIME), filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}, filter_lang="cql2-json"
    )
    print(f"   {url}: scenes with less than 20 % cloud around the fire")
    for item in sorted(found.items(), key=lambda item: (item.collection_id or "", str(item.datetime))):
        cover = f"{item.properties['eo:cloud_cover']:4.1f} % cloud" if "eo:cloud_cover" in item.properties else ""
        print(f"   {item.collection_id:<24} {item.datetime:%Y-%m-%d %H:%M}  {item.id[:44]:<44} {len(item.assets):>2} assets  {cover}")


def _cube() -> dict[str, Any]:
    """Monthly NBR before and after the fire; draws the picture."""
    import datacube
    from demo_picture import draw_change

    cube = datacube.Datacube(app="eolake demo")
    place: Any = {"x": (BBOX[0], BBOX[2]), "y": (BBOX[1], BBOX[3]), "time": TIME}
    monthly = cube.load(product=MONTHLY, measurements=["nbr"], **place)
    nbr = monthly.nbr.where(monthly.nbr != monthly.nbr.nodata)
    before, after = nbr.isel(time=0), nbr.isel(time=-1)
    change = before - after
    cell = abs(float(nbr.x[1] - nbr.x[0]) * float(nbr.y[1] - nbr.y[0])) / 10_000
    hectares = {name: float((change > limit).sum()) * cell for name, limit in (("burnt", 0.27), ("severe", 0.66))}
    sizes = " × ".join(f"{count} {name}" for name, count in nbr.sizes.items())
    print(f"   {MONTHLY}: {sizes}, pixels of {cell:.2f} ha, EPSG:{nbr.odc.crs.epsg}")
    print(f"   burnt (dNBR > 0.27): {hectares['burnt']:,.0f} ha, of it severely (dNBR > 0.66): {hectares['severe']:,.0f} ha")
    print(f"   against the dNBR of the landscape that the products were made from: {_difference(change):.3f} off on average")
    picture = LAKE / "nbr_change.png"
    draw_change(before, after, picture)
    print(f"   drawn: {picture.relative_to(ROOT)}")
    return {"picture": picture, **hectares}


def _fires(url: str) -> None:
    """The table of fires, and that its power is that of the grid."""
    import datacube
    import geopandas
    from pystac_client import Client

    (item,) = Client.open(url).search(collections=[FIRES]).items()
    fires = geopandas.read_parquet(item.assets["fires"].href.removeprefix("file://"))
    grid = datacube.Datacube(app="eolake demo").load(product=FIRES, measurements=["frp"]).frp
    when, platform = f"{item.datetime:%Y-%m-%d %H:%M} UTC", item.properties["platform"]
    print(f"   {when}, {platform}: {len(fires)} fires of {fires.frp_mwir.sum():,.0f} MW together")
    print(f"   the strongest: {fires.frp_mwir.max():,.0f} MW at {fires.loc[fires.frp_mwir.idxmax()].geometry.wkt}")
    print(f"   on the grid of 0.01°: {int((grid > 0).sum())} cells, {float(grid.where(grid > 0).sum()):,.0f} MW together")


def _difference(change: Any) -> float:
    """Mean absolute difference of the dNBR from that of the landscape at the same places."""
    import numpy as np

    from eolake.ingest.simulators.products.landscape import FIRE, Landscape
    from eolake.ingest.simulators.products.spectra import bands

    x, y = np.meshgrid(change.x.values, change.y.values)
    nbr = []
    for when in (FIRE - timedelta(days=6), FIRE + timedelta(days=18)):
        ground = Landscape().sample(x, y, "EPSG:3577", when)
        near, short = (ground.reflectance(bands("landsat_8")[name]) for name in ("B5", "B7"))
        nbr.append((near - short) / (near + short))
    return float(abs(change - (nbr[0] - nbr[1])).mean())


def _sum_up(account: Account, facts: Mapping[str, Any], before: Mapping[str, int], *, again: bool) -> None:
    """What is in the lake now, and what this run added."""
    after = _counts()
    print("\nThe lake")
    _lake("status")
    added = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    if added:
        print("\nAdded by this run: " + ", ".join(f"{name} {count}" for name, count in added.items()))
    elif again:
        print("\nNothing to do: everything was there already.")
    slowest = max(account.steps, key=lambda step: step[1])
    print(f"All in {time.monotonic() - account.began:.1f} s (longest: {slowest[0].split(':')[0].lower()}, {slowest[1]:.1f} s).")
    print(f"Picture: {facts['picture'].relative_to(ROOT)}")


def _farewell(facts: Mapping[str, Any], *, keep_up: bool) -> None:
    url = facts["url"]
    if keep_up:
        print(f"The lake runs: {url}/stac is its STAC API. Stop it: .venv/bin/eolake -c demo-lake/eolake.toml down")
    else:
        print("Stopped. Start it again (it prints its URLs): .venv/bin/eolake -c demo-lake/eolake.toml up")
        print("`make demo ARGS=--keep-up` leaves it running.")


def _counts() -> dict[str, int]:
    """Granules, and items by collection."""
    document = _facts("status")
    counts = {name: holding["items"] for name, holding in document.get("collections", {}).items()}
    return {"granules": sum(document.get("granules", {}).values()), **counts}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | SECRETS


def _facts(command: str) -> Any:
    """The data that a command of the lake prints."""
    return _json("-c", "demo-lake/eolake.toml", command)


def _lake(*arguments: str, quiet: bool = False, check: bool = True) -> None:
    """Runs a command of the lake."""
    _run("-c", "demo-lake/eolake.toml", *arguments, quiet=quiet, check=check)


def _json(*arguments: str) -> Any:
    """The data that a command prints."""
    done = subprocess.run([EOLAKE, *arguments, "--json"], cwd=ROOT, env=_environment(), check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"demo: `eolake {' '.join(arguments)}` ended with {done.returncode}; what it said stands above")
    return json.loads(done.stdout)


def _run(*arguments: str, quiet: bool = False, check: bool = True) -> None:
    """Runs a command and shows what it says, indented."""
    if not quiet:
        print(f"   $ eolake {' '.join(arguments)}", flush=True)
    command = subprocess.Popen(
        [EOLAKE, *arguments], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert command.stdout
    said = []
    for line in command.stdout:
        said.append(line)
        if not quiet:
            print(f"     {line.rstrip()}", flush=True)
    if command.wait() and check:
        sys.exit(f"demo: `eolake {' '.join(arguments)}` ended with {command.returncode}\n{''.join(said) if quiet else ''}")


if __name__ == "__main__":
    sys.exit(main())
