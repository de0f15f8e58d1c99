"""Declared collections against what catalog and cube hold of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from eolake.catalog import pgstac
from eolake.catalog.declaration import Collection, declared, declared_collections
from eolake.catalog.queries import load_queries
from eolake.catalog.stac.collections import stac_collection
from eolake.cube.products import breaking_changes, odc_product
from eolake.cube.session import Session, sync_collection

SQL = load_queries("eolake.cube", "collections")

State = Literal["same", "missing", "differs", "refused", "undeclared", "absent"]
"""same: as declared; missing: not there yet; differs: can be updated; refused: datasets that are there would no longer fit;
undeclared: there, but no declaration says so; absent: not there, and not declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One collection on both sides."""

    collection: str
    catalog: State
    """In pgSTAC."""
    cube: State
    """In the ODC index."""
    reason: str = ""
    """Why the cube refuses: what changed."""

    @property
    def due(self) -> bool:
        """Whether `sync` has something to write, and may."""
        return self.cube != "refused" and bool({self.catalog, self.cube} & {"missing", "differs"})


def compare(session: Session, collection: Collection) -> Comparison:
    """Compare one declaration with both sides; writes nothing."""
    cube, reason = _cube(session, collection)
    return Comparison(collection=collection.id, catalog=_catalog(session, collection), cube=cube, reason=reason)


def _catalog(session: Session, collection: Collection) -> State:
    row = session.connection.execute(pgstac.SQL["collection"], {"id": collection.id}).fetchone()
    if row is None:
        return "missing"
    trunc = None if collection.partition == "none" else collection.partition
    return "same" if row["content"] == stac_collection(collection) and row["partition_trunc"] == trunc else "differs"


def _cube(session: Session, collection: Collection) -> tuple[State, str]:
    products = session.index.products
    known = products.get_by_name(collection.id)
    if known is None:
        return "missing", ""
    wanted = products.from_doc(odc_product(collection))
    if known.definition == wanted.definition:
        return "same", ""
    faults = breaking_changes(known, wanted)
    return ("refused", "; ".join(faults)) if faults else ("differs", "")


def undeclared(session: Session) -> Iterator[Comparison]:
    """Collections of catalog or cube that no declaration names, sorted."""
    stored = {row["id"] for row in session.connection.execute(SQL["collection_ids"]).fetchall()}
    products = {product.name for product in session.index.products.get_all()}
    for name in sorted((stored | products) - set(declared_collections())):
        sides: tuple[State, State] = ("undeclared" if name in stored else "absent", "undeclared" if name in products else "absent")
        yield Comparison(collection=name, catalog=sides[0], cube=sides[1])


def sync(session: Session, names: Iterable[str], *, dry_run: bool = False) -> Iterator[Comparison]:
    """Bring catalog and cube to the named declarations (all, when none is named); yields what each was before.

    A refused one is left alone on both sides. ConfigError for a name that is not declared."""
    for collection in [declared(name) for name in names] or list(declared_collections().values()):
        found = compare(session, collection)
        if found.due and not dry_run:
            sync_collection(session, collection.id)
        yield found
