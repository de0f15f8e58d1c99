"""Loadable: ODC products and datasets, publish and retire, check and rebuild."""
