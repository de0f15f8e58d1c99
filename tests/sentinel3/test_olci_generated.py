"""Generated OLCI products of every kind on their grids: what netCDF4 reads in them is what the nearest cell shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray
from support.swath_files import assert_nearest, draft

from eolake.catalog.declaration import Band, declared
from eolake.catalog.draft import Pixels
from eolake.ingest.sensors.swath import values
from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.scenes import generate_pass
from eolake.ingest.simulators.products.season import SITE, Season
from eolake.ingest.simulators.products.sentinel3.make import Sentinel3Kind, find_pass

Array = NDArray[Any]
WHEN = datetime(2020, 1, 2, 23, 40, tzinfo=UTC)
SHORE = (151.15, -33.98)
SIDE = 65
LANDSCAPE = Landscape(season=Season())
KINDS: tuple[tuple[Sentinel3Kind, tuple[float, float], dict[str, str]], ...] = (
    ("s3_olci_l1_efr", SITE, {"oa01": "Oa01_radiance", "oa17": "Oa17_radiance", "oa21": "Oa21_radiance"}),
    ("s3_olci_l1_err", SITE, {"oa08": "Oa08_radiance"}),
    ("s3_olci_l2_lfr", SITE, {"otci": "otci:OTCI", "gifapar": "gifapar:GIFAPAR", "rc865": "rc_gifapar:RC865", "iwv": "iwv:IWV"}),
    ("s3_olci_l2_lrr", SITE, {"otci": "otci:OTCI"}),
    ("s3_olci_l2_wfr", SHORE, {"oa06": "Oa06_reflectance", "chl_nn": "chl_nn:CHL_NN", "kd490": "trsp:KD490_M07", "par": "par:PAR"}),
    ("s3_olci_l2_wrr", SHORE, {"chl_oc4me": "chl_oc4me:CHL_OC4ME", "t865": "w_aer:T865"}),
)


def stored(product: Path, place: str, band: Band | None = None) -> Array:
    """As netCDF4 has it; NaN where there is nothing."""
    file, _, name = place.rpartition(":")
    with netCDF4.Dataset(product / f"{file or name}.nc") as opened:
        variable = opened[name]
        variable.set_auto_maskandscale(False)
        counts = variable[:]
        scale, offset = (float(str(variable.getncattr(key))) if key in variable.ncattrs() else rest for key, rest in SCALING)
        fill = variable.getncattr("_FillValue") if "_FillValue" in variable.ncattrs() else None
    found = np.where(counts == fill, np.nan, counts * scale + offset) if fill is not None else counts * scale + offset
    return found if band is None else values.quantised(found, band)


SCALING = (("scale_factor", 1.0), ("add_offset", 0.0))


@pytest.mark.parametrize(("kind", "place", "bands"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_every_cell_shows_what_netcdf_reads(tmp_path: Path, kind: Sentinel3Kind, place: Any, bands: dict[str, str]) -> None:
    product = generate_pass(kind, find_pass(WHEN, place), tmp_path, landscape=LANDSCAPE, size=SIDE, place=place)
    found = draft(product, tmp_path / "work")
    assert found.item.collection_id == kind
    assert set(found.bands) == {band.name for band in declared(kind).bands if not band.optional or band.name in found.bands}
    longitude, latitude = (stored(product, f"geo_coordinates:{name}") for name in ("longitude", "latitude"))
    for name, where in bands.items():
        band = declared(kind).band(name)
        wanted = stored(product, where, band)
        shown = assert_nearest(found.bands[name].read(), longitude, latitude, wanted, values.outside(band))
        assert shown.sum() > 100, name
    for band in declared(kind).bands:
        pixels: Pixels = found.bands[band.name].read()
        assert pixels.data.dtype == np.dtype(band.dtype), band.name
