"""What a process that opens foreign rasters switches off in GDAL before GDAL starts."""

from __future__ import annotations

import os
import sys

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
    }


def harden() -> None:
    """Set the variables in this process and what it starts; call it before rasterio is used."""
    os.environ.update(environment())


def threads() -> int:
    """How many threads GDAL may use: the processors this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
