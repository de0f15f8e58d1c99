"""What a process that opens foreign bytes switches off in GDAL and HDF5 before they start, and what it may use of the machine."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

KEPT = ("COG", "GTiff", "JP2OpenJPEG", "JPEG", "MEM", "PNG")
"""The drivers that products, their quicklooks and COGs need; GDAL looks at a skipped one for no file at all."""

SKIPPED = (
    "AAIGrid", "ACE2", "ADRG", "AIG", "AVCBin", "AVCE00", "AirSAR", "BAG", "BIGGIF", "BMP", "BSB", "BT", "BYN", "CALS", "CEOS", "COASP",
    "COSAR", "CPG", "CTG", "DAAS", "DERIVED", "DIMAP", "DOQ1", "DOQ2", "DTED", "ECRGTOC", "EEDA", "EEDAI", "EHdr", "EIR", "ENVI", "ERS",
    "ESAT", "ESRI Shapefile", "ESRIC", "ESRIJSON", "FAST", "GDALG", "GFF", "GIF", "GNMDatabase", "GNMFile", "GPKG", "GRASSASCIIGrid",
    "GRIB", "GS7BG", "GSAG", "GSBG", "GSC", "GTI", "GTX", "GXF", "GenBin", "GeoJSON", "GeoJSONSeq", "HDF5", "HDF5Image", "HF2", "HFA",
    "HTTP", "ILWIS", "IRIS", "ISCE", "ISG", "ISIS2", "ISIS3", "JAXAPALSAR", "JDEM", "KMLSUPEROVERLAY", "KRO", "L1B", "LAN",
    "LCP", "LIBERTIFF", "LOSLAS", "Leveller", "MAP", "MBTiles", "MFF", "MFF2", "MRF", "MSGN", "MVT", "MiraMonRaster", "NDF", "NGSGEOID",
    "NITF", "NOAA_B", "NSIDCbin", "NTv2", "NWT_GRC", "NWT_GRD", "OSM", "PAux", "PCIDSK", "PCRaster", "PDF", "PDS", "PDS4", "PLMOSAIC",
    "PNM", "PRF", "RCM", "RIK", "RMF", "ROI_PAC", "RPFTOC", "RRASTER", "RS2", "RST", "S102", "S104", "S111", "SAFE", "SAGA",
    "SAR_CEOS", "SENTINEL2", "SIGDEM", "SNAP_TIFF", "SNODAS", "SQLite", "SRP", "SRTMHGT", "STACIT", "STACTA", "TGA", "TIL", "TSX",
    "Terragen", "TopoJSON", "USGSDEM", "VICAR", "VRT", "WCS", "WEBP", "WMS", "WMTS", "XYZ", "ZMap", "Zarr", "netCDF",
)  # fmt: skip
"""Every other driver of the rasterio wheels (GDAL 3.12); a test compares."""

NO_NEW_PRIVILEGES = 38
"""PR_SET_NO_NEW_PRIVS of Linux."""
CACHE_BYTES = 64 << 20
"""GDAL's block cache. Every pixel is read once, so what it holds is wasted: with 256 MB a 10980² JP2 takes 583 MB instead of 394 and no
less time. Its own default, 5 % of the memory, is too small in a small container and too large on a big machine."""


def environment() -> dict[str, str]:
    """Variables for a process that opens foreign bytes; they count when set before GDAL registers its drivers."""
    return {
        "GDAL_SKIP": ",".join(SKIPPED),
        "GDAL_CACHEMAX": str(CACHE_BYTES),
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no side-car (.aux.xml, .ovr, .msk) is looked for, whoever lies beside
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_VRT_ENABLE_PYTHON": "NO",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
        "GDAL_DRIVER_PATH": "disable",  # no driver from a library that lies somewhere
        "HDF5_PLUGIN_PRELOAD": "::",  # no filter either, whatever a file asks for
        "HDF5_PLUGIN_PATH": os.devnull,
        "HDF5_USE_FILE_LOCKING": "FALSE",  # products may lie on disks that can't lock
    }


def harden() -> None:
    """Set the variables in this process and what it starts; call it before rasterio and h5py are used."""
    os.environ.update(environment())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a process that opens foreign bytes may take of the machine."""

    memory: int = 8 << 30
    """Bytes; 350 MB of them are taken by the libraries alone."""
    processor: float = 3600
    """Seconds of processor time over one product."""
    file: int = 32 << 30
    """Bytes of one written file: more than the gate unpacks."""
    files: int = 1024
    """Open at the same time."""


def confine(bounds: Bounds) -> None:
    """Hold this process to the bounds, for good; what passes one gets MemoryError or OSError. It leaves no core and gains no privilege.

    Memory is counted as data (RLIMIT_DATA: heap, private mappings, stacks of threads), which follows what is used; address space
    (RLIMIT_AS) is reserved by libraries at twice that and more. Linux counts so; elsewhere memory is not bounded.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, bounds.file)
    _lower(resource.RLIMIT_NOFILE, bounds.files)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_DATA, bounds.memory)
        ctypes.CDLL(None, use_errno=True).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _lower(what: int, limit: int) -> None:
    """Soft and hard; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """SIGXCPU, which ends the process, when the work within takes more; also where it hangs in a library and no Python runs."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end if hard == resource.RLIM_INFINITY else min(end, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def threads() -> int:
    """How many threads GDAL may use: the processors this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
