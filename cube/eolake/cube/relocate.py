"""Relocate: the lake's objects are somewhere else now; catalog and cube learn it in one transaction."""

from __future__ import annotations

from datacube.utils.uris import split_uri

from eolake.catalog import pgstac
from eolake.catalog.errors import UsageError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import publications
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.cube", "odc")


def relocate(lake: Lake, old: str | None = None) -> int:
    """Rewrite the store URIs of items and datasets from `old` (default: where they were written) to the settings' store.

    How many items changed; 0 when the lake did not move. The objects themselves must be there already."""
    new = lake.store_config.url
    with lake.connect(name="eolake relocate") as connection, connection.transaction():
        was = old or publications.place(connection)
        if was is None or was == new:
            publications.set_place(connection, new)
            return 0
        if new.startswith(f"{was}/") or was.startswith(f"{new}/"):
            raise UsageError(f"one of {was} and {new} lies inside the other; move the objects to a place of its own")
        moved = pgstac.relocate(connection, was, new)
        old_scheme, old_body = split_uri(was)
        new_scheme, new_body = split_uri(new)
        connection.execute(
            SQL["relocate"], {"old_scheme": old_scheme, "old_body": old_body, "new_scheme": new_scheme, "new_body": new_body}
        )
        publications.set_place(connection, new)
    return moved
