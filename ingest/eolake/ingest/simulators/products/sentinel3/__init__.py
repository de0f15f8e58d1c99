"""Generated Sentinel-3 products in the layout of the real ones: OLCI Level 1 and 2, SLSTR radiances, land surface temperature and fires.

All look at one `Landscape` in one `Season` from orbits that repeat as Sentinel-3's do (`geometry`); satpy, netCDF4 and
stactools-sentinel3 read them.
"""
