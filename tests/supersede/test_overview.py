"""A provider's quicklook becomes the asset `overview`; a broken one costs a warning."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from support.scenes import claim, draft

from eolake.catalog.lake import Lake
from eolake.catalog.safe.documents import open_regular
from eolake.cube.publish import publish
from eolake.cube.session import Session
from eolake.ingest.overview import MOST, with_overview


def picture(path: Path, driver: str, width: int = 64) -> Path:
    data = np.random.default_rng(1).integers(0, 255, (3, 64, width)).astype(np.uint8)
    with rasterio.open(path, "w", driver=driver, width=width, height=64, count=3, dtype="uint8") as file:
        file.write(data)
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("driver", "media", "name"), [("JPEG", "image/jpeg", "overview.jpg"), ("PNG", "image/png", "overview.png")])
def test_a_quicklook_becomes_the_asset_overview(lake: Lake, tmp_path: Path, validate_stac: Any, driver: str, media: str, name: str) -> None:
    path = picture(tmp_path / "S2A_MSIL1C-ql.bin", driver)
    found = with_overview(draft(), path)
    with Session(lake=lake) as session:
        publish(session, [found], claim(session))
        (key,) = (stored.key for stored in session.store.list("") if stored.key.endswith("/item.json"))
        document = json.loads(session.store.get(key))
        asset = document["assets"]["overview"]
        assert (asset["href"], asset["type"], asset["roles"]) == (f"./{name}", media, ["overview"])
        assert session.store.get(key.replace("item.json", name)) == path.read_bytes()
        for link in document["links"]:
            link["href"] = f"https://lake.example/{link['href']}"
        validate_stac(document)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "case", ["cut off", "half a JPEG", "no picture", "empty", "absent", "a link", "too large", "too many pixels", "a TIFF"]
)
def test_a_broken_quicklook_costs_a_warning_not_the_product(tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str) -> None:
    path = tmp_path / "quicklook.jpg"
    match case:
        case "cut off":
            whole = picture(tmp_path / "whole", "PNG").read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
        case "half a JPEG":
            whole = picture(tmp_path / "whole", "JPEG").read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
        case "no picture":
            path.write_bytes(b"<html>Please log in</html>")
        case "empty":
            path.touch()
        case "a link":
            path.symlink_to(picture(tmp_path / "whole", "JPEG"))
        case "too large":
            path.write_bytes(b"\xff\xd8\xff")
            os.truncate(path, MOST + 1)
        case "too many pixels":
            picture(path, "PNG", 8193)
        case "a TIFF":
            picture(path, "GTiff")
        case _:
            assert case == "absent"
    given = draft()
    with caplog.at_level(logging.WARNING):
        assert with_overview(given, path) is given
    assert "its overview is left out" in caplog.text


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_overview_of_the_sensor_stays(tmp_path: Path) -> None:
    found = with_overview(draft(), picture(tmp_path / "one.jpg", "JPEG"))
    assert with_overview(found, picture(tmp_path / "two.jpg", "JPEG")) is found
    os.close(open_regular(found.attachments["overview"].path))
