"""Rasters that attack: refused by the gate, or read without harm, in a process like a converter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from support import hostile_rasters as tricks
from support.hostile_rasters import Prey
from support.reader import MEMORY, Reader

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct

SIDE = 64
GRID = rasterio.Affine(30, 0, 600_000, 0, -30, 6_300_000)
DRIVERS = ("GTiff", "JP2OpenJPEG", "JPEG", "PNG")
SMALL = 100 << 10
"""KiB that a file of some hundred bytes may take."""


@pytest.fixture(scope="module")
def prey(canary: Any) -> Prey:
    return Prey(file=canary.file, url=canary.url)


@pytest.mark.parametrize("disguise", tricks.DISGUISED)
def test_other_things_under_the_name_of_a_raster_are_refused(inside: Path, reader: Reader, prey: Prey, disguise: str) -> None:
    content = tricks.DISGUISED[disguise](prey)
    path = inside / "in"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    for driver in DRIVERS:
        answer = reader.read(driver, path)
        assert (answer.verdict, answer.leaked) == ("bad", False), answer
        assert str(path) in answer.message


@pytest.mark.parametrize("disguise", tricks.DISGUISED)
def test_the_driver_is_named_where_nothing_is_switched_off(inside: Path, prey: Prey, disguise: str) -> None:
    """The first of two locks: in this process GDAL knows all of its drivers."""
    content = tricks.DISGUISED[disguise](prey)
    (inside / "in").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadProduct, match="in can not be opened as GTiff"):
        safe.read_raster(inside / "in", driver="GTiff")


def test_a_hardened_process_knows_no_other_driver(inside: Path, prey: Prey) -> None:
    """The second lock: there even a bare `rasterio.open` finds nothing. Without it, the first trick succeeds."""
    for number, content in enumerate(tricks.DISGUISED.values()):
        made = content(prey)
        (inside / "workspace" / f"{number}.tif").write_bytes(made.encode() if isinstance(made, str) else made)
    script = """
import sys, warnings
from pathlib import Path
if sys.argv[2] == "hardened":
    from eolake.catalog import safe
    safe.harden()
import rasterio
warnings.simplefilter("ignore")
for path in sorted(Path(sys.argv[1]).glob("*.tif")):
    try:
        print(path.name, rasterio.open(path).driver)
    except rasterio.errors.RasterioError:
        pass
"""
    run = [sys.executable, "-c", script, inside / "workspace"]
    assert subprocess.run([*run, "hardened"], capture_output=True, text=True, check=True).stdout == ""
    (inside / "workspace" / "2.tif").unlink()  # it would call, and may
    (inside / "workspace" / "3.tif").unlink()
    for number in range(9, 16):
        (inside / "workspace" / f"{number}.tif").unlink()
    assert "VRT" in subprocess.run([*run, "soft"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("driver", DRIVERS)
def test_names_that_gdal_understands_are_no_files(inside: Path, reader: Reader, prey: Prey, driver: str) -> None:
    os.mkfifo(inside / "workspace" / "pipe.tif")
    (inside / "workspace" / "link.tif").symlink_to(prey.file)
    (inside / "workspace" / "folder.tif").mkdir()
    names = (
        f"/vsicurl/{prey.url}",
        f"/vsicurl?header_file={prey.file}&url={prey.url}",
        f"/vsizip//vsicurl/{prey.url}/a.tif",
        f"/vsizip/{prey.file}",
        f"/vsisubfile/0_100,{prey.file}",
        f"/vsistdin/?{prey.file}",
        "/vsistdin/",
        "/vsimem/a.tif",
        "/vsis3/bucket/a.tif",
        prey.url,
        f"zip+{prey.url}!a.tif",
        f"zip://{prey.file}!a.tif",
        f"GTIFF_DIR:1:{prey.file}",
        f"GTIFF_RAW:{prey.file}",
        f"vrt://{prey.file}",
        f"HDF5:{prey.file}://a",
        f"WMS:{prey.url}",
        f'<VRTDataset rasterXSize="1" rasterYSize="1"><SourceFilename>{prey.file}</SourceFilename></VRTDataset>',
        "MEM:::DATAPOINTER=1,PIXELS=10,LINES=10",
        "/dev/zero",
        "/proc/self/mem",
        str(inside / "workspace" / "pipe.tif"),
        str(inside / "workspace" / "link.tif"),
        str(inside / "workspace" / "folder.tif"),
        f"{prey.file}\0.tif",
        "a" * 5000,
        "",
    )
    for name in names:
        answer = reader.read(driver, name)  # type: ignore[arg-type] # as a sensor would that took it from metadata
        assert (answer.refused, answer.leaked) == (True, False), (name, answer)
    (inside / "workspace" / "pipe.tif").unlink()


def test_a_file_that_is_called_like_a_command_of_gdal_is_that_file(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`GTIFF_DIR:1:other.tif` lies there, and is noise; it is not taken for the first directory of the other one."""
    monkeypatch.chdir(inside / "workspace")
    Path("other.tif").write_bytes(tricks.tiff())
    for name in ("GTIFF_DIR:1:other.tif", "GTIFF_RAW:other.tif"):
        Path(name).write_bytes(b"noise")
        with pytest.raises(BadProduct, match=name):
            safe.read_raster(Path(name), driver="GTiff")


@pytest.mark.parametrize("trick", tricks.HUGE)
def test_huge_tiffs_are_unsafe_before_a_pixel_is_decoded(inside: Path, reader: Reader, trick: str) -> None:
    (inside / "in").write_bytes(tricks.HUGE[trick]())
    answer = reader.read("GTiff", inside / "in")
    assert answer.verdict == "unsafe", answer
    assert answer.peak < SMALL
    assert str(inside / "in") in answer.message


@pytest.mark.parametrize("trick", tricks.TIFFS)
def test_lying_tiffs_do_no_harm(inside: Path, reader: Reader, prey: Prey, trick: str) -> None:
    (inside / "in").write_bytes(tricks.TIFFS[trick](prey))
    answer = reader.read("GTiff", inside / "in")
    assert answer.verdict in {"read", "bad", "unsafe"}, answer
    assert not answer.leaked
    assert answer.peak < SMALL
    assert answer.seconds < 10
    again = reader.read("GTiff", inside / "in", shape=[61, 47])
    assert again.refused, "and none of it has another size than the metadata says"


@pytest.mark.parametrize("trick", tricks.JP2S_HUGE)
def test_huge_jpeg2000_is_refused(inside: Path, reader: Reader, trick: str) -> None:
    (inside / "in").write_bytes(tricks.JP2S_HUGE[trick]())
    answer = reader.read("JP2OpenJPEG", inside / "in")
    assert answer.refused, answer
    assert answer.peak < SMALL


@pytest.mark.parametrize("trick", tricks.JP2S)
def test_lying_jpeg2000_does_no_harm(inside: Path, reader: Reader, trick: str) -> None:
    (inside / "in").write_bytes(tricks.JP2S[trick]())
    answer = reader.read("JP2OpenJPEG", inside / "in")
    assert answer.verdict in {"read", "bad", "unsafe"}, answer
    assert answer.peak < SMALL * 2
    assert answer.seconds < 10


def test_what_fits_the_limits_but_not_the_process_is_unsafe(inside: Path, reader: Reader) -> None:
    """1 GB of zeros in a file of some bytes: allowed by the dimensions, too much for this process, which lives on."""
    (inside / "in").write_bytes(tricks.tiled(32_000, 32_000, 1 << 14, data=b""))
    answer = reader.read("GTiff", inside / "in")
    assert answer.verdict == "unsafe", answer
    assert "does not fit in memory" in answer.message
    assert answer.peak < MEMORY >> 10
    assert reader.deaths == 0


def test_the_honest_ones_are_read(inside: Path, reader: Reader) -> None:
    """Or all of this would show nothing."""
    for driver, content in {"GTiff": tricks.tiff(), "JP2OpenJPEG": tricks.jp2()}.items():
        (inside / "in").write_bytes(content)
        assert reader.read(driver, inside / "in", shape=[tricks.SIDE, tricks.SIDE]).verdict == "read"
    (inside / "in").write_bytes(tricks.tiff(big=True))
    assert reader.read("GTiff", inside / "in").verdict == "read"


@pytest.mark.parametrize("kind", ["plain", "deflate", "lzw", "zstd", "lerc", "jp2"])
def test_flipped_and_cut_rasters_are_read_or_bad(inside: Path, reader: Reader, kind: str) -> None:
    """Of 60 damaged files each is read, bad, or unsafe, and none ends the process."""
    path = inside / "in"
    if kind == "jp2":
        content = tricks.jp2()
    else:
        data = np.random.default_rng(1).integers(0, 60, (SIDE, SIDE), dtype=np.uint16)
        compress = {} if kind == "plain" else {"compress": kind}
        with rasterio.open(
            path, "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint16", transform=GRID, **compress
        ) as target:
            target.write(data, 1)
        content = path.read_bytes()
    for seed in range(60):
        damaged = tricks.flipped(content, seed) if seed % 4 else content[: int(len(content) * seed / 60)]
        path.write_bytes(damaged)
        answer = reader.read("JP2OpenJPEG" if kind == "jp2" else "GTiff", path)
        assert answer.verdict in {"read", "bad", "unsafe"}, (seed, answer)
        assert not answer.refused or str(path) in answer.message
        assert answer.peak < SMALL * 3, seed
