"""The S3 store, on a server that speaks S3: written once, and one StoreConfig serves every client."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from moto.server import ThreadedMotoServer

from eolake.catalog import store as store_module
from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import Band, Cog
from eolake.catalog.draft import Pixels
from eolake.catalog.errors import ConfigError, EolakeError, Transient
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import (
    BucketStore,
    MissingObject,
    ObjectInfo,
    Store,
    media_type,
    multihash,
    open_store,
    s3_client,
    store_environment,
)

KEY = "s2_l2a/2020/01/08/S2A_T55HFA/r7/red.tif"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def config(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> StoreConfig:
    """A bucket of its own; a bucket without prefix and one with."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"lake-{os.urandom(4).hex()}"
    found = StoreConfig(url=f"s3://{bucket}/deep/prefix", endpoint=endpoint, region="ap-southeast-2", path_style=True)
    s3_client(found).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    return found


@pytest.fixture
def store(config: StoreConfig) -> Store:
    return open_store(config)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "red.tif"
    path.write_bytes(b"pixels" * 1000)
    return path


def test_what_is_put_is_there(store: Store, source: Path) -> None:
    store.put(KEY, source)
    store.put("a/item.json", b"{}")
    assert store.get(KEY) == source.read_bytes()
    assert b"".join(store.chunks(KEY)) == source.read_bytes()
    assert store.head(KEY) == ObjectInfo(key=KEY, size=6000)
    assert store.checksum(KEY) == multihash(source)
    assert store.uri(KEY) == f"{store.config.url}/{KEY}"
    assert store.gdal_path(KEY) == f"/vsis3/{store.config.url.removeprefix('s3://')}/{KEY}"
    assert [entry.key for entry in store.list()] == ["a/item.json", KEY]
    store.sync("a")


def test_missing_objects(store: Store) -> None:
    assert store.head("gone") is None
    assert list(store.list("gone")) == []
    store.delete(["gone"])
    for read in (store.get, store.checksum):
        with pytest.raises(MissingObject, match="gone is not there"):
            read("gone")


def test_the_same_bytes_again_write_nothing(store: Store, source: Path) -> None:
    store.put(KEY, source)
    client, bucket = s3_client(store.config), store.config.url.split("/")[2]
    before = client.head_object(Bucket=bucket, Key=f"deep/prefix/{KEY}")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store.put(KEY, source)
    store.put(KEY, source.read_bytes())
    assert len(client.list_object_versions(Bucket=bucket)["Versions"]) == 1
    assert before["ContentType"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    for other in (b"", b"pixelz" * 1000):
        with pytest.raises(EolakeError, match="holds other bytes already"):
            store.put(KEY, other)
    assert store.get(KEY) == source.read_bytes()


def test_one_of_many_writers_wins(store: Store) -> None:
    def write(number: int) -> int:
        won = 0
        for key in range(10):
            with suppress(EolakeError):
                store.put(f"race/{key}", str(number).encode() * 500)
                won += 1
        return won

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 10


def test_a_prefix_is_made_of_whole_segments(store: Store) -> None:
    for key in ("c/a/r1/x", "c/a/r10/x"):
        store.put(key, b"x")
    store.delete_prefix("c/a/r1")
    assert [entry.key for entry in store.list()] == ["c/a/r10/x"]


def _cog(folder: Path) -> tuple[Path, str]:
    data = np.arange(1200 * 1100, dtype=np.uint16).reshape(1200, 1100)
    pixels = Pixels(data=data, transform=Affine(10, 0, 6e5, 0, -10, 6e6), crs="EPSG:32755")
    path = folder / "red.tif"
    return path, write_cog(pixels, Band(name="red", title="Red", dtype="uint16"), Cog(), path).pixel_digest


def _alone(script: str, store: Store, *words: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: GDAL keeps Python's lock while it opens a file, and the server lives in this process."""
    secrets = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PATH")}
    command = [sys.executable, "-c", script, store.config.model_dump_json(), *words]
    environment = {**secrets, **store_environment(store.config)}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


READER = """
import sys
import boto3, rasterio
from eolake.catalog.cog import stored_digest
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import bucket_of, open_store
config = StoreConfig.model_validate_json(sys.argv[1])
key = sys.argv[2]
store = open_store(config)
bucket, prefix = bucket_of(config)
with rasterio.open(store.uri(key)) as by_uri, rasterio.open(store.gdal_path(key)) as by_path:
    print(int(by_uri.read(1).sum()), int(by_path.read(1, window=((5, 6), (7, 8)))[0, 0]))
print(stored_digest(store.gdal_path(key)))
print(len(boto3.client("s3").get_object(Bucket=bucket, Key=f"{prefix}/{key}")["Body"].read()))
print(len(store.get(key)))
"""


def test_one_config_serves_every_client(store: Store, tmp_path: Path) -> None:
    """obstore, boto3 and rasterio in a process that has nothing but the variables of `store_environment` and the secrets."""
    path, digest = _cog(tmp_path)
    store.put(KEY, path)
    run = _alone(READER, store, KEY)
    size = str(path.stat().st_size)
    total = int(np.arange(1200 * 1100, dtype=np.uint16).sum())
    assert run.stdout.split() == [str(total), str(5 * 1100 + 7), digest, size, size], run.stderr


WRITER = """
import sys
import boto3, numpy as np, obstore, rasterio
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import bucket_of, open_store
config = StoreConfig.model_validate_json(sys.argv[1])
store = open_store(config)
bucket, prefix = bucket_of(config)
boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/by-boto3", Body=b"boto3")
obstore.put(store._objects, "by-obstore", b"obstore")
grid = rasterio.Affine(2, 0, 0, 0, -2, 0)
profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 1, "dtype": "uint8", "transform": grid}
with rasterio.Env(CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE=True):
    with rasterio.open(store.gdal_path("by-rasterio.tif"), "w", **profile) as target:
        target.write(np.full((2, 2), 7, np.uint8), 1)
"""


def test_every_client_writes_what_the_store_reads(store: Store) -> None:
    run = _alone(WRITER, store)
    assert run.returncode == 0, run.stderr
    assert (store.get("by-boto3"), store.get("by-obstore")) == (b"boto3", b"obstore")
    assert store.get("by-rasterio.tif")[:4] == b"II*\0"
    assert len(list(store.list())) == 3


def test_faults_are_told_apart(config: StoreConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = open_store(config.model_copy(update={"url": "s3://no-such-bucket/x"}))
    with pytest.raises(ConfigError, match="no-such-bucket"):
        nowhere.put("a", b"x")
    silent = open_store(config.model_copy(update={"endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(Transient, match="prefix/a"):
        silent._create("a", b"x")
    with pytest.raises(ConfigError, match="profile"):
        open_store(config.model_copy(update={"profile": "nobody"})).get("a")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    anonymous = open_store(config)
    for use in (lambda: anonymous.get("a"), lambda: anonymous._create("a", b"x")):
        with pytest.raises(ConfigError, match="credentials"):
            use()


def test_thousands_are_deleted_in_few_requests(store: Store) -> None:
    for number in range(30):
        store.put(f"c/{number}", b"x")
    store.delete([f"c/{number}" for number in range(1500)])
    assert list(store.list()) == []


def test_virtual_hosts_and_profiles_reach_the_variables() -> None:
    config = StoreConfig(url="s3://bucket/lake", endpoint="https://s3.example.org", region="eu-west-1", profile="lake")
    assert store_environment(config) == {
        "AWS_VIRTUAL_HOSTING": "TRUE",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_PROFILE": "lake",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.org",
        "AWS_S3_ENDPOINT": "s3.example.org",
        "AWS_HTTPS": "YES",
    }
    plain = store_environment(StoreConfig(url="s3://bucket"))
    assert plain == {"AWS_VIRTUAL_HOSTING": "TRUE"}


def test_media_types() -> None:
    assert media_type("a/b.tif").startswith("image/tiff")
    assert media_type("a/item.json") == "application/geo+json"
    assert media_type("a/b.json") == "application/json"
    assert media_type("a/b") == "application/octet-stream"


def large(tmp_path: Path, config: StoreConfig) -> tuple[BucketStore, Path]:
    """A store that sends anything above 6 MB in parts, and a file that needs three of them."""
    store = BucketStore(config)
    store.single_put, store.smallest_part = 6 << 20, 5 << 20
    path = tmp_path / "large.zip"
    path.write_bytes(os.urandom(11 << 20))
    return store, path


def test_a_large_file_goes_in_parts_and_appears_whole(config: StoreConfig, tmp_path: Path) -> None:
    store, path = large(tmp_path, config)
    store.adopt("raw/cdse/large.zip", path)
    assert store.checksum("raw/cdse/large.zip") == multihash(path)
    store.adopt("raw/cdse/large.zip", path)  # the same bytes again
    path.write_bytes(b"other" + path.read_bytes())
    with pytest.raises(EolakeError, match="other bytes"):
        store.adopt("raw/cdse/large.zip", path)
    bucket, _ = store_module.bucket_of(config)
    assert "Uploads" not in s3_client(config).list_multipart_uploads(Bucket=bucket)


def test_sweeping_a_prefix_ends_uploads_that_a_killed_writer_left(config: StoreConfig) -> None:
    client, bucket = s3_client(config), store_module.bucket_of(config)[0]
    for key in ("raw/cdse/r7/a.zip", "raw/cdse/r71/b.zip"):
        client.create_multipart_upload(Bucket=bucket, Key=f"deep/prefix/{key}")
    open_store(config).delete_prefix("raw/cdse/r7")
    left = [upload["Key"] for upload in client.list_multipart_uploads(Bucket=bucket)["Uploads"]]
    assert left == ["deep/prefix/raw/cdse/r71/b.zip"]
