"""Catalog and cube, made again from the store alone in an empty database, equal what was there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import workers

from eolake.catalog.lake import Lake
from eolake.catalog.settings import load_settings

if TYPE_CHECKING:
    from conftest import Taken

WRITTEN = {
    "items": """
        select collection, id, pgstac.get_item(id, collection) as item, st_astext(geometry) as place, datetime, end_datetime
        from pgstac.items order by 1, 2""",
    "collections": "select id, content from pgstac.collections order by 1",
    "products": "select name, definition from odc.product order by 1",
    "datasets": """
        select p.name, d.id, d.metadata, d.uri_scheme || ':' || d.uri_body as uri, d.archived from odc.dataset d
        join odc.product p on p.id = d.product_ref order by 1, 2""",
    "places": "select dataset_ref, st_astext(extent) as extent from odc.spatial_4326 order by 1",
    "texts": "select dataset_ref, search_key, search_val from odc.dataset_search_string order by 1, 2, 3",
    "numbers": "select dataset_ref, search_key, search_val from odc.dataset_search_num order by 1, 2",
    "times": "select dataset_ref, search_key, search_val from odc.dataset_search_datetime order by 1, 2",
    "publications": """
        select collection, item_id, revision, state, prefix, dataset_id, start_at, end_at, west, south, east, north, bytes
        from eolake.publication order by 1, 2, 3""",
    "objects": "select o.key, o.bytes, o.asset from eolake.object o order by 1",
    "products taken": """
        select g.provider, g.id, g.name, g.fingerprint, g.state, g.collection from eolake.granule g
        where g.state = 'published' order by 1, 2""",
}


def written(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    with lake.connect() as connection:
        return {name: connection.execute(statement).fetchall() for name, statement in WRITTEN.items()}  # type: ignore[call-overload]


def test_an_empty_database_is_filled_from_the_store(
    taken: Taken, tmp_path: Path, fresh_lake: Callable[[Path], AbstractContextManager[Lake]]
) -> None:
    """The same objects, another database."""
    with fresh_lake(tmp_path) as empty:
        (tmp_path / "eolake.toml").write_text(f'[lake]\nname = "test"\nstore = "file:{taken.lake.store_config.folder}"\n')
        again = Lake(settings=load_settings(empty.settings.root / "eolake.toml"))
        objects = workers.listing(taken.lake)
        done = workers.run(again, "--json", "rebuild")
        assert done.returncode == 0, done.stderr
        assert workers.listing(taken.lake) == objects, "the store is only read"
        before, after = written(taken.lake), written(again)
        for name in WRITTEN:
            assert len(before[name]) == len(after[name]) > 0, name
            assert before[name] == after[name], name
        checked = workers.run(again, "--json", "check")
        assert checked.returncode == 0, checked.stdout
        published = [expected.path for expected in taken.published]
        status, document = workers.ingest(again, *published)
        assert (status, document["counts"]) == (0, {"unchanged": len(published)})
