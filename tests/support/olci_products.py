"""Small OLCI products of Level 2, written with netCDF4: land and water of several processing baselines, in their files and encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support import slstr_products as slstr
from support.swath_files import places, write

Array = NDArray[Any]
SHAPE = (40, 50)
TIES = 16
"""Columns between tie points; products of full resolution have 64."""
LAND_OLD = "S3A_OL_2_LFR____20200105T234500_20200105T234800_20200107T050403_0179_053_244_3420_LN1_O_NT_002"
LAND_NEW = "S3A_OL_2_LFR____20220105T234500_20220105T234800_20220107T050403_0179_080_244_3420_PS1_O_NT_003"
LAND_STRIPE = "S3B_OL_2_LRR____20220105T234500_20220106T002900_20220107T050403_2640_061_244______PS1_O_NT_003"
WATER_OLD = "S3A_OL_2_WFR____20180105T234500_20180105T234800_20180107T050403_0179_026_244_3420_MAR_O_NT_002"
WATER_NEW = "S3A_OL_2_WFR____20220105T234500_20220105T234800_20220107T050403_0179_080_244_3420_MAR_O_NT_003"
WATER_STRIPE = "S3B_OL_2_WRR____20220105T234500_20220106T002900_20220107T050403_2640_061_244______MAR_O_NT_003"
WATER_LATEST = "S3A_OL_2_WFR____20260105T234500_20260105T234800_20260107T050403_0179_140_244_3420_MAR_O_NT_004"

LQSF_OLD = """
INVALID WATER LAND CLOUD CLOUD_AMBIGUOUS CLOUD_MARGIN SNOW_ICE INLAND_WATER TIDAL COSMETIC SUSPECT HISOLZEN SATURATED
WV_FAIL OGVI_FAIL OTCI_FAIL LRAYFAIL OGVI_CLASS_BAD OGVI_CLASS_WS OGVI_CLASS_CSI OGVI_CLASS_BRIGHT OGVI_CLASS_INVAL_REC
OTCI_BAD_IN OTCI_CLASS_ANG OTCI_CLASS_CLSN
"""
LQSF_OLD_BITS = (0, 1, 2, 3, 23, 24, *range(4, 23))
LQSF_NEW = """
INVALID WATER LAND COASTLINE CLOUD CLOUD_AMBIGUOUS CLOUD_MARGIN SNOW_ICE INLAND_WATER TIDAL COSMETIC SUSPECT HISOLZEN
SATURATED WV_FAIL GIFAPAR_FAIL OTCI_FAIL LRAYFAIL GIFAPAR_CLASS_BAD GIFAPAR_CLASS_WS GIFAPAR_CLASS_CSI
GIFAPAR_CLASS_BRIGHT GIFAPAR_CLASS_INVAL_REC OTCI_BAD_IN OTCI_CLASS_CLSN
"""
LQSF_NEW_BITS = tuple(range(25))
ANNOTATIONS = """
ANNOT_ANGSTROM ANNOT_AERO_B ANNOT_ABSO_D ANNOT_ACLIM ANNOT_ABSOA ANNOT_MIXR1 ANNOT_DROUT ANNOT_TAU06 RWNEG_O1 RWNEG_O2
RWNEG_O3 RWNEG_O4 RWNEG_O5 RWNEG_O6 RWNEG_O7 RWNEG_O8 RWNEG_O9 RWNEG_O10 RWNEG_O11 RWNEG_O12 RWNEG_O16 RWNEG_O17
RWNEG_O18 RWNEG_O21
"""
WQSF_OLD = """
INVALID WATER LAND CLOUD CLOUD_AMBIGUOUS CLOUD_MARGIN SNOW_ICE INLAND_WATER TIDAL COSMETIC SUSPECT HISOLZEN SATURATED
MEGLINT HIGHGLINT WHITECAPS ADJAC WV_FAIL PAR_FAIL AC_FAIL OC4ME_FAIL OCNN_FAIL KDM_FAIL BPAC_ON WHITE_SCATT LOWRW
HIGHRW
"""
WQSF_OLD_BITS = (0, 1, 2, 3, 23, 24, *range(4, 20), 21, 25, 26, 27, 28)
WQSF_NEW = """
INVALID WATER LAND CLOUD TURBID_ATM CLOUD_AMBIGUOUS CLOUD_MARGIN SNOW_ICE INLAND_WATER COASTLINE TIDAL COSMETIC SUSPECT
HISOLZEN SATURATED MEGLINT HIGHGLINT WHITECAPS ADJAC WV_FAIL PAR_FAIL AC_FAIL OC4ME_FAIL OCNN_FAIL KDM_FAIL BPAC_ON
WHITE_SCATT LOWRW HIGHRW IOP_LSD_FAIL
"""
WQSF_NEW_BITS = (0, 1, 2, 3, 22, 23, 24, *range(4, 22), 25, 26, 27, 28, 29)
CHANNELS = tuple(f"Oa{number:02}" for number in (*range(1, 13), 16, 17, 18, 21))
IMAGE = ("rows", "columns")
WATER_ALWAYS = {
    "chl_nn": {"CHL_NN": ("u1", 4 / 254, -2.0)},
    "tsm_nn": {"TSM_NN": ("u1", 4 / 254, -2.0)},
    "iop_nn": {"ADG443_NN": ("u1", 3.3 / 254, -2.5)},
    "par": {"PAR": ("u1", 10.0, 0.0)},
    "w_aer": {"T865": ("u1", 0.8 / 254, 0.0), "A865": ("u1", 2.0 / 254, 0.0)},
    "iwv": {"IWV": ("u1", 0.3, 0.0)},
}
"""File → variable → dtype, scale, offset"""
WATER_BEFORE = {"chl_oc4me": {"CHL_OC4ME": ("u1", 4 / 254, -2.0)}, "trsp": {"KD490_M07": ("u1", 3.0 / 254, -2.0)}}
"""Baseline 004."""
WATER_SINCE_004 = {
    "chlor_a": {"chlor_a": ("u2", 6e-5, -2.0)},
    "trsp": {"kd_490": ("u2", 5e-5, -2.0)},
    "iop_lsd": dict.fromkeys(("acdm_443", "acdom_443", "anw_443", "aphy_443", "bbp_443", "bbp_slope"), ("u2", 7e-05, -3.0)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A product and what it holds, on the swath."""

    path: Path
    longitude: Array
    latitude: Array
    values: Mapping[str, Array]
    """Physical values as float32 by variable (NaN: none); of flags: where each is set, by its meaning."""


def land(folder: Path, name: str = LAND_NEW, *, seed: int = 5) -> Made:
    """With vegetation indices as bytes; OGVI and bits in other places in products of baseline 002."""
    old = name.endswith("_002")
    random = np.random.default_rng(seed)
    index, rectified = ("OGVI", "rc_ogvi") if old else ("GIFAPAR", "rc_gifapar")
    files: dict[str, dict[str, Any]] = {
        index.lower(): {index: byte(random, 1 / 254)},
        "otci": {"OTCI": byte(random, 6.5 / 254)},
        rectified: {band: counts(random, "u2", 1 / 65534) for band in ("RC681", "RC865")},
        "iwv": {"IWV": byte(random, 0.3)},
    }
    meanings, bits = (LQSF_OLD, LQSF_OLD_BITS) if old else (LQSF_NEW, LQSF_NEW_BITS)
    lqsf = flags(random, "u4", meanings.split(), bits)
    return _product(folder, name, files, {"lqsf": ("LQSF", lqsf)})


def water(folder: Path, name: str = WATER_NEW, *, seed: int = 6) -> Made:
    """With reflectances and concentrations, these as bytes of their logarithm; 64 bits of flags, in other places in baseline 002."""
    random = np.random.default_rng(seed)
    files: dict[str, dict[str, Any]] = {
        f"{channel}_reflectance": {f"{channel}_reflectance": counts(random, "u2", 1.5e-5, -0.01)} for channel in CHANNELS
    }
    encodings = WATER_SINCE_004 if name.endswith("_004") else WATER_BEFORE
    for file, variables in (WATER_ALWAYS | encodings).items():
        files[file] = {variable: counts(random, *encoding) for variable, encoding in variables.items()}
    if name.endswith("_004"):
        files["iop_lsd"]["OWC"] = counts(random, "u1", 1.0)
    meanings, bits = (WQSF_OLD, WQSF_OLD_BITS) if name.endswith("_002") else (WQSF_NEW, WQSF_NEW_BITS)
    if name.endswith("_004"):
        meanings = meanings.replace("OC4ME_FAIL", "CHLOR_A_FAIL").replace("KDM_FAIL", "KD_FAIL")
    further = [*ANNOTATIONS.split(), *(["UNCORR_GLINT"] if name.endswith("_004") else [])]
    wqsf = flags(random, "u8", [*meanings.split(), *further], [*bits, *range(32, 32 + len(further))])
    return _product(folder, name, files, {"wqsf": ("WQSF", wqsf)})


# --- variables: counts and attributes ---


def counts(random: np.random.Generator, kind: str, scale: float, offset: float = 0.0) -> tuple[Array, Mapping[str, Any]]:
    """All counts but the greatest, which means that there is no value, on a twentieth of the pixels."""
    fill = np.iinfo(kind).max
    data = random.integers(0, fill, SHAPE).astype(kind)
    data[random.random(SHAPE) < 0.05] = fill
    return data, {"_FillValue": data.dtype.type(fill), "scale_factor": np.float32(scale), "add_offset": np.float32(offset)}


def byte(random: np.random.Generator, scale: float, offset: float = 0.0) -> tuple[Array, Mapping[str, Any]]:
    """As `counts`, of bytes."""
    return counts(random, "u1", scale, offset)


def flags(random: np.random.Generator, kind: str, meanings: list[str], bits: Any) -> tuple[Array, Mapping[str, Any]]:
    """Any of them set on every third pixel."""
    data = np.zeros(SHAPE, kind)
    for bit in bits:
        data |= np.where(random.random(SHAPE) < 1 / 3, data.dtype.type(1 << bit), data.dtype.type(0))
    masks = np.array([1 << bit for bit in bits], kind)
    return data, {"flag_masks": masks, "flag_meanings": " ".join(meanings)}


def decoded(data: Array, attributes: Mapping[str, Any]) -> Array:
    """In double precision, with scale and offset as they are written (0.3, which is 0.30000001 in single precision); float32."""
    values = data * float(str(attributes["scale_factor"])) + float(str(attributes["add_offset"]))
    return np.where(data == attributes["_FillValue"], np.nan, values).astype(np.float32)


def _product(folder: Path, name: str, files: Mapping[str, Mapping[str, Any]], flagged: Mapping[str, tuple[str, Any]]) -> Made:
    path = folder / f"{name}.SEN3"
    path.mkdir()
    longitude, latitude = places(*SHAPE, step=0.0027 if "FR____" in name else 0.0108)
    micro = {"_FillValue": np.int32(-(2**31)), "scale_factor": 1e-6}
    altitude = np.arange(SHAPE[0] * SHAPE[1], dtype=np.int16).reshape(SHAPE) - 100
    place = {
        "longitude": (IMAGE, np.rint(longitude * 1e6).astype(np.int32), {**micro, "standard_name": "longitude"}),
        "latitude": (IMAGE, np.rint(latitude * 1e6).astype(np.int32), {**micro, "standard_name": "latitude"}),
        "altitude": (IMAGE, altitude, {"_FillValue": np.int16(-32768)}),
    }
    write(path / "geo_coordinates.nc", place)
    values: dict[str, Array] = {"altitude": altitude}
    for file, variables in files.items():
        write(path / f"{file}.nc", {key: (IMAGE, *entry) for key, entry in variables.items()})
        values |= {key: decoded(*entry) for key, entry in variables.items()}
    for file, (variable, (data, attributes)) in flagged.items():
        write(path / f"{file}.nc", {variable: (IMAGE, data, attributes)})
        for meaning, mask in zip(attributes["flag_meanings"].split(), attributes["flag_masks"], strict=True):
            values[meaning] = (data & mask) != 0
    values |= _ties(path)
    slstr.write_manifest(path, slstr.Image(longitude=longitude, latitude=latitude, x=longitude, y=latitude))
    return Made(path=path, longitude=place["longitude"][1] * 1e-6, latitude=place["latitude"][1] * 1e-6, values=values)


def _ties(path: Path) -> dict[str, Array]:
    """Angles on every TIES-th column; azimuths pass north. Their values on all pixels, which are whole counts
    of hundredths and fiftieths of a degree: rounding is no question."""
    rows, columns = np.mgrid[: SHAPE[0], : -(-SHAPE[1] // TIES) + 1].astype(float)
    angles = {
        "SZA": 30 + 0.05 * rows + 0.48 * columns,
        "OZA": 10 + 0.01 * rows + 3.2 * columns,
        "SAA": -2 + 0.1 * rows + 0.64 * columns,
        "OAA": (179 + 0.02 * rows + 0.96 * columns + 180) % 360 - 180,
    }
    variables = {}
    for name, degrees in angles.items():
        kind = np.uint32 if name.endswith("ZA") else np.int32
        told = {"_FillValue": kind(2**32 - 1) if kind is np.uint32 else kind(-(2**31)), "scale_factor": 1e-6}
        variables[name] = (("tie_rows", "tie_columns"), np.rint(degrees * 1e6).astype(kind), told)
    write(path / "tie_geometries.nc", variables, ac_subsampling_factor=np.uint16(TIES), al_subsampling_factor=np.uint16(1))
    across = np.arange(SHAPE[1]) / TIES
    down = np.arange(SHAPE[0])[:, None]
    return {
        "SZA": 30 + 0.05 * down + 0.48 * across,
        "OZA": 10 + 0.01 * down + 3.2 * across,
        "SAA": -2 + 0.1 * down + 0.64 * across,
        "OAA": (179 + 0.02 * down + 0.96 * across + 180) % 360 - 180,
    }
