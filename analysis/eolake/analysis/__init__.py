"""Derive: analyses, their planning and their runs on dask."""
