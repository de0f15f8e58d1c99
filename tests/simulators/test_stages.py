"""`eolake simulate NAME`: each provider finds the products of its simulator with the settings that it prints."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import Settings
from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import Query
from eolake.ingest.providers.registry import open_provider, provider_config
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.command import PROVIDERS
from eolake.ingest.simulators.faults import behaviour_of
from eolake.ingest.simulators.stages import Setting, Simulation, stages

EOLAKE = str(Path(sys.executable).with_name("eolake"))
SENTINEL = {
    "S2B_MSIL2A_20191219T001109_N0213_R073_T56HKH_20191219T024009",
    "S2B_MSIL2A_20200108T001109_N0500_R073_T56HKH_20230525T031247",
}
LANDSAT = {f"LC08_L2SP_090084_{day}_20200825_02_T1" for day in ("20191215", "20191231", "20200116")}
EXPECTED: dict[str, tuple[str, set[str]]] = {
    "cdse": ("s2_l2a", SENTINEL),
    "stac": ("s2_l2a", SENTINEL),
    "m2m": ("ls8_c2_l2", LANDSAT),
    "hyp3": ("rtc_demo", set(stages()["hyp3"].noise)),
    "dhus": ("s2_l2a", SENTINEL),
    "eumetsat": ("s3_olci_l1_efr", set(stages()["eumetsat"].noise)),
    "directory": ("ls8_c2_l2", LANDSAT),
    "ftp": ("ls8_c2_l2", LANDSAT),
    "s3": ("ls8_c2_l2", LANDSAT),
}


def test_every_simulator_is_a_command_and_has_a_test() -> None:
    assert set(PROVIDERS) == set(stages()) == {*EXPECTED, "resto"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_printed_settings_find_the_products(name: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection, expected = EXPECTED[name]
    with Simulation(name, archive, Setting()) as simulation:
        for variable, value in simulation.environment.items():
            monkeypatch.setenv(variable, value)
        sections = tomllib.loads(simulation.block())["providers"]
        assert sections == {name: simulation.section()}
        config = provider_config(Settings(root=tmp_path, providers=sections), name)
        login = open_login(config, config.credentials[0], state=tmp_path) if config.credentials else None
        provider = open_provider(config, login)
        query = Query(collection=collection, start=datetime(2019, 12, 10, tzinfo=UTC), end=datetime(2020, 2, 1, tzinfo=UTC))
        assert {offer.name for offer in provider.search(query)} == expected
        if login is not None:
            login.close()


def test_limits_of_the_command_lie_over_those_of_the_faults(archive: Archive) -> None:
    setting = Setting(behaviour=behaviour_of("busy"), rate=1e6, connections=3)
    assert (setting.limits().connections, setting.limits().lag, setting.limits().rate) == (3, 2, 1e6)
    with Simulation("cdse", archive, setting) as simulation:
        assert simulation.section()["connections"] == 3
    assert Setting(behaviour=behaviour_of("busy")).limits().connections == 2


def test_a_failing_start_leaves_nothing_behind(archive: Archive) -> None:
    with Simulation("stac", archive, Setting()) as first, pytest.raises(ConfigError, match="choose another"):
        Simulation("stac", archive, Setting(port=int(first.urls["url"].rpartition(":")[2])))


@pytest.mark.parametrize("as_json", [True, False])
def test_cdse_as_a_program(products: Path, as_json: bool) -> None:
    command = [
        EOLAKE,
        *(["--json"] if as_json else []),
        "simulate",
        "cdse",
        "--products",
        str(products),
    ]
    process = subprocess.Popen([*command, "--seed", "4"], stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert process.stdout is not None
    try:
        facts = _told(process.stdout, as_json)
        with urllib3.PoolManager(retries=False) as pool:
            _search_and_download(pool, facts)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


def _told(output: Any, as_json: bool) -> dict[str, Any]:
    """What a script reads before it goes on."""
    if as_json:
        facts: dict[str, Any] = json.loads(output.readline())
        return facts
    lines = []
    while not lines or not lines[-1].startswith("ready "):
        lines.append(output.readline())
        assert lines[-1], "it ended before it was ready"
    exports = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines if line.startswith("export "))
    block = "".join(lines[lines.index("[providers.cdse]\n") : -1])
    return {"environment": exports, "section": tomllib.loads(block)["providers"]["cdse"]}


def _search_and_download(pool: urllib3.PoolManager, facts: dict[str, Any]) -> None:
    urls, account = facts["section"]["urls"], facts["environment"]
    condition = {"$filter": "Collection/Name eq 'SENTINEL-2' and contains(Name,'MSIL2A')", "$orderby": "PublicationDate asc"}
    found = pool.request("GET", f"{urls['catalogue']}/Products?{urlencode(condition)}").json()["value"]
    assert {product["Name"].removesuffix(".SAFE") for product in found} == SENTINEL
    form = {"grant_type": "password", "username": account["EOLAKE_CDSE_USERNAME"], "password": account["EOLAKE_CDSE_PASSWORD"]}
    token = pool.request("POST", urls["token"], body=urlencode({**form, "client_id": "cdse-public"})).json()["access_token"]
    url = f"{urls['download']}/Products({found[0]['Id']})/$value"
    assert pool.request("GET", url).status == 401
    answer = pool.request("GET", url, headers={"Authorization": f"Bearer {token}"})
    assert hashlib.md5(answer.data).hexdigest() == next(one["Value"] for one in found[0]["Checksum"] if one["Algorithm"] == "MD5")


def test_it_ends_by_itself_and_makes_products_when_there_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    command = [
        EOLAKE,
        "--json",
        "simulate",
        "dhus",
        "--products",
        str(folder),
        "--size",
        "60",
        "--recent",
    ]
    done = subprocess.run([*command, "--max-time", "0.1s"], capture_output=True, text=True, timeout=120, check=True)
    facts = json.loads(done.stdout)
    assert (facts["simulator"], facts["products"]) == ("dhus", 3)
    assert len([path for path in folder.iterdir() if not path.name.startswith(".")]) == 7


def test_products_that_come_one_by_one(products: Path) -> None:
    command = [EOLAKE, "--json", "simulate", "cdse", "--products", str(products), "--trickle", "0.2s", "--max-time", "60s"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = f"{json.loads(process.stdout.readline())['section']['urls']['catalogue']}/Products?$count=true"
        counts = [0]
        with urllib3.PoolManager(retries=False) as pool:
            while counts[-1] < 7:
                counts.append(pool.request("GET", url).json()["@odata.count"])
        assert sorted(counts) == counts
        assert len(set(counts)) > 3
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()
    refused = subprocess.run([EOLAKE, "simulate", "ftp", "--trickle", "1s"], capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, "--trickle" in refused.stderr) == (2, True)


def test_unknown_faults_are_named_with_those_there_are(products: Path) -> None:
    command = [EOLAKE, "simulate", "cdse", "--products", str(products), "--faults", "flakey"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "flaky" in done.stderr
