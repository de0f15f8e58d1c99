"""`eolake collections list|show|sync`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from eolake.catalog.errors import ConfigError
from eolake.catalog.invocation import Invocation, pass_invocation

if TYPE_CHECKING:  # pydantic, datacube: not for --help
    from eolake.catalog.declaration import Band, Collection
    from eolake.cube.collections import Comparison

HEAD = ("band", "also", "dtype", "nodata", "unit", "scale", "offset", "gsd")
NUMBERS = {"nodata", "scale", "offset", "gsd"}
DONE = {"missing": "made", "differs": "updated"}
PLANNED = {"missing": "would be made", "differs": "would be updated"}


class ChangeRefused(ConfigError):
    """The cube refuses a changed declaration: give it a new id with a version suffix, so that both can be used."""


@click.group(invoke_without_command=True)
@click.pass_context
def collections(context: click.Context) -> None:
    """List, show and synchronise declared collections."""
    if context.invoked_subcommand is None:
        context.invoke(list_)


@collections.command("list")
@pass_invocation
def list_(call: Invocation) -> None:
    """List the declared collections."""
    from eolake.catalog.declaration import declared_collections

    call.know_collections()
    found = list(declared_collections().values())
    width = max((len(collection.id) for collection in found), default=0)
    lines = [f"{c.id:<{width}}  {c.processing_level or '':<4} {len(c.bands):>3} bands  {c.title}" for c in found]
    call.emit([_summary(collection) for collection in found], "\n".join(lines) or "no collection is declared")


def _summary(collection: Collection) -> dict[str, object]:
    return {
        "id": collection.id,
        "title": collection.title,
        "processing_level": collection.processing_level,
        "derived": collection.derived,
        "platforms": list(collection.platforms),
        "bands": [band.name for band in collection.bands],
    }


@collections.command()
@click.argument("name")
@click.option("--as", "form", type=click.Choice(["stac", "odc"]), help="The STAC collection (JSON) or the ODC product (YAML) instead.")
@pass_invocation
def show(call: Invocation, name: str, form: str | None) -> None:
    """Show one collection: its bands, grid and classes.

    --as odc prints the product for `datacube product add`; --as stac the STAC collection. --json: the declaration and both.
    """
    from eolake.catalog.declaration import declared
    from eolake.catalog.stac.collections import stac_collection

    call.know_collections()
    collection = declared(name)
    if form == "stac":
        click.echo(json.dumps(stac_collection(collection), indent=2))
    elif form == "odc":
        click.echo(_odc_yaml(collection), nl=False)
    elif call.json:
        from eolake.cube.products import odc_product

        declaration = collection.model_dump(mode="json", exclude_defaults=True)
        call.emit({"declaration": declaration, "stac": stac_collection(collection), "odc": odc_product(collection)}, "")
    else:
        click.echo("\n".join(_text(collection)))


def _odc_yaml(collection: Collection) -> str:
    import yaml

    from eolake.cube.products import odc_product

    return yaml.safe_dump(odc_product(collection), sort_keys=False, allow_unicode=True)


def _text(collection: Collection) -> list[str]:
    load = collection.load
    lines = [f"{collection.id}: {collection.title}", "", collection.description.strip(), ""]
    lines += [f"licence   {collection.license}", f"grid      {load.crs}, {load.resolution:g}, aligned at {load.align:g}", ""]
    rows = [HEAD, *(_row(band) for band in collection.bands)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines.append(_aligned(HEAD, widths))
    for band, row in zip(collection.bands, rows[1:], strict=True):
        lines += [_aligned(row, widths), *_class_lines(band)]
    return lines


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    cells = (f"{cell:>{width}}" if name in NUMBERS else f"{cell:<{width}}" for name, cell, width in zip(HEAD, row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _row(band: Band) -> tuple[str, ...]:
    nodata, scale, offset, gsd = ("" if n is None else f"{n:g}" for n in (band.nodata, band.scale, band.offset, band.gsd))
    name = f"{band.name} (optional)" if band.optional else band.name
    return (name, " ".join(band.aliases), band.dtype, nodata, band.unit, scale, offset, gsd)


def _class_lines(band: Band) -> list[str]:
    lines = [f"    {entry.value:>5}  {entry.name}" for entry in band.classes]
    for field in band.bitfields:
        bits = f"bit {field.offset}" if field.length == 1 else f"bits {field.offset}–{field.offset + field.length - 1}"
        lines.append(f"    {bits:<10} {field.name}: " + ", ".join(f"{entry.value} {entry.name}" for entry in field.classes))
    return lines


@collections.command()
@click.argument("names", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@pass_invocation
def sync(call: Invocation, names: tuple[str, ...], dry_run: bool) -> None:  # noqa: FBT001 -- click's signature
    """Bring catalog and cube to the declarations (of NAMES, else of all).

    Ends with 3 when the cube refuses a change: datasets that are there already would no longer fit.
    """
    from eolake.cube.collections import sync as bring
    from eolake.cube.collections import undeclared
    from eolake.cube.session import Session

    with Session(lake=call.lake()) as session:
        found = [*bring(session, names, dry_run=dry_run), *([] if names else undeclared(session))]
    document = [{"id": c.collection, "catalog": c.catalog, "cube": c.cube, "reason": c.reason} for c in found]
    call.emit(document, "\n".join(_line(comparison, dry_run=dry_run) for comparison in found))
    if refused := [c.collection for c in found if c.cube == "refused"]:
        raise ChangeRefused(f"the cube refuses the change of {', '.join(refused)}: declare a new id with a version suffix instead")


def _line(found: Comparison, *, dry_run: bool) -> str:
    words = PLANNED if dry_run else DONE
    if found.cube == "refused":
        return f"{found.collection}: refused ({found.reason})"
    if "undeclared" in {found.catalog, found.cube}:
        return f"{found.collection}: in the {'catalog' if found.catalog == 'undeclared' else 'cube'}, but not declared"
    return f"{found.collection}: catalog {words.get(found.catalog, 'as declared')}, cube {words.get(found.cube, 'as declared')}"
