"""Generated products in the exact layouts of USGS and ESA, for the demo, tests and benchmarks.

One synthetic landscape (see `landscape`) is written as Landsat 8 Collection 2 Level-1 and Level-2 and
as Sentinel-2 L1C and L2A products, before and after a bushfire. File names, folders, metadata, data
types, pixel sizes and pixel alignment are those of the real products; only the extent is smaller
(`size`). GDAL's SENTINEL2 driver and stactools read them.

Sentinel-3 products (see `sentinel3`) look at the same landscape from real orbits. With a fire season (see
`season`) all sensors see its fires, smoke and scars, and what they should find is known.
"""
