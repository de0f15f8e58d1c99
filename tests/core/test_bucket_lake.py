"""A lake whose objects are in a bucket: published, checked, loaded and served like one in a folder."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from moto.server import ThreadedMotoServer
from support.scenes import COLLECTION, GRID, NAME, SHAPE, claim, draft
from support.serving import served

from eolake.catalog.lake import Lake
from eolake.catalog.settings import load_settings
from eolake.catalog.store import s3_client
from eolake.cube.check import check
from eolake.cube.publish import publish
from eolake.cube.session import Session

LOAD = f"""
import json, datacube
from affine import Affine
from odc.geo.geobox import GeoBox
cube = datacube.Datacube()
(found,) = cube.find_datasets(product="{COLLECTION}")
loaded = cube.load(datasets=[found], measurements=["red"], like=GeoBox({SHAPE}, Affine{tuple(GRID)[:6]}, "EPSG:32755"))
print(json.dumps({{"uri": found.uri, "red": loaded.red.values[0].tolist()}}))
"""


@pytest.fixture
def bucket(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """The lake with a bucket of a real HTTP server as its store."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    config = lake.settings.root / "eolake.toml"
    config.write_text(
        '[lake]\nname = "test"\nstore = "s3://scenes/lake"\n\n'
        f'[store]\nendpoint = "http://127.0.0.1:{port}"\nregion = "us-east-1"\npath_style = true\n'
    )
    there = Lake(settings=load_settings(config))
    s3_client(there.store_config).create_bucket(Bucket="scenes")
    yield there
    server.stop()


def _environment(lake: Lake) -> dict[str, str]:
    """The process environment with what `eolake env` prints."""
    command = [sys.executable, "-m", "eolake.catalog", "-c", str(lake.settings.root / "eolake.toml"), "env", "--json"]
    return os.environ | json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_scene_in_a_bucket_is_checked_loaded_and_served(bucket: Lake) -> None:
    with Session(lake=bucket) as session:
        publish(session, [draft()], claim(session))
        assert check(session.connection, session.store).document()["ok"]
    wanted = draft().bands["red"].read().data
    # GDAL holds Python's lock while it opens a URL: the loading process can't be the one that serves the bucket.
    loaded = subprocess.run([sys.executable, "-c", LOAD], env=_environment(bucket), capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    answer = json.loads(loaded.stdout)
    assert answer["uri"].startswith(f"s3://scenes/lake/{COLLECTION}/2020/01/01/{NAME}/r")
    assert answer["red"] == wanted.tolist()
    with served(bucket) as url:
        item = requests.get(f"{url}/stac/collections/{COLLECTION}/items/{NAME}", timeout=20).json()
        red = item["assets"]["red"]
        assert red["alternate"]["s3"]["href"] == answer["uri"].replace("item.json", "red.tif")
        signed = requests.get(red["href"], timeout=20, allow_redirects=False)
        assert signed.status_code == 307
        assert "Expires" in signed.headers["location"]
        assert len(requests.get(red["href"], timeout=20).content) == red["file:size"]
