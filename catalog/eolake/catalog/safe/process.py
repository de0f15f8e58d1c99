"""What a process that opens foreign rasters switches off in GDAL before GDAL starts."""

from __future__ import annotations

import os

KEPT = ("COG", "GTiff", "JP2OpenJPEG", "JPEG", "MEM", "PNG")
"""The drivers that products and COGs need; every other one that the rasterio wheels hold is skipped."""

SKIPPED = (
    "AAIGrid", "ACE2", "ADBC", "ADRG", "AIG", "AIRSAR", "AIVector", "ARG", "AVCBin", "AVCE00", "AmigoCloud", "BAG", "BIGGIF", "BMP",
    "BSB", "BT", "BYN", "CAD", "CALS", "CEOS", "COASP", "COSAR", "CPG", "CSV", "CSW", "CTG", "CTable2", "Carto", "DAAS", "DGN",
    "DIMAP", "DOQ1", "DOQ2", "DTED", "DXF", "DERIVED", "ECRGTOC", "EDIGEO", "EEDA", "EEDAI", "EHdr", "EIR", "ENVI", "ERS", "ESAT",
    "ESRI Shapefile", "ESRIC", "ESRIJSON", "Elastic", "FAST", "FIT", "FITS", "FlatGeobuf", "GDALG", "GFF", "GIF", "GML", "GMLAS",
    "GPKG", "GPSBabel", "GPX", "GRIB", "GS7BG", "GSAG", "GSBG", "GSC", "GTFS", "GTX", "GXF", "GenBin", "GeoJSON", "GeoJSONSeq",
    "GeoRSS", "HDF5", "HDF5Image", "HFA", "HTTP", "IDA", "IGNFHeightASCIIGrid", "ILWIS", "INGR", "IRIS", "ISCE", "ISG", "ISIS2",
    "ISIS3", "Interlis 1", "Interlis 2", "JAXAPALSAR", "JDEM", "JML", "JSONFG", "KML", "KMLSUPEROVERLAY", "KRO", "L1B", "LAN", "LCP",
    "LIBKML", "LOSLAS", "LVBAG", "Leveller", "MAP", "MBTiles", "MFF", "MFF2", "MRF", "MSGN", "MVT", "MapInfo File", "MapML",
    "Memory", "MiraMonRaster", "MiraMonVector", "NDF", "NGSGEOID", "NGW", "NITF", "NOAA_B", "NSIDCbin", "NTv2", "NWT_GRC", "NWT_GRD",
    "OAPIF", "ODS", "OGCAPI", "OGR_GMT", "OGR_VRT", "OSM", "OpenFileGDB", "PAux", "PCIDSK", "PDF", "PDS", "PDS4", "PGDUMP",
    "PLMOSAIC", "PLSCENES", "PMTiles", "PNM", "PRF", "R", "RCM", "RIK", "RMF", "ROI_PAC", "RPFTOC", "RRASTER", "RS2", "Rasterlite",
    "S102", "S104", "S111", "S57", "SAFE", "SAGA", "SAR_CEOS", "SENTINEL2", "SIGDEM", "SNAP_TIFF", "SNODAS", "SQLite", "SRP", "SRTMHGT",
    "STACIT", "STACTA", "SXF", "Selafin", "Sentinel2", "TGA", "TIL", "TSX", "Terragen", "TileDB", "TopoJSON", "UK .NTF", "USGSDEM",
    "VDV", "VFK", "VICAR", "VRT", "WAsP", "WCS", "WEBP", "WFS", "WMS", "WMTS", "XLSX", "XPM", "XYZ", "Zarr", "ZMap", "netCDF",
)  # fmt: skip

CACHE_BYTES = 256 << 20
"""GDAL's block cache; its own default, 5 % of the memory, is too small for JP2 in a small container."""


def environment() -> dict[str, str]:
    """Variables for a process that opens foreign bytes; they count when set before GDAL registers its drivers."""
    return {
        "GDAL_SKIP": ",".join(SKIPPED),
        "GDAL_CACHEMAX": str(CACHE_BYTES),
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no side-car (.aux.xml, .ovr, .msk) is looked for, whoever lies beside
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_VRT_ENABLE_PYTHON": "NO",
        "GDAL_MEM_ENABLE_OPEN": "NO",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
        "CPL_VSIL_SHOW_NETWORK_STATS": "NO",
        "OGR_ENABLED": "NO",
    }


def harden() -> None:
    """Set the variables in this process and what it starts; call it before rasterio is used."""
    os.environ.update(environment())
