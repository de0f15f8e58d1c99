"""`eolake analyse`: derive a collection from the cube."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from eolake.catalog.errors import EolakeError, UsageError
from eolake.catalog.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from eolake.analysis.base import Analysis
    from eolake.analysis.cluster import Workers
    from eolake.analysis.families import Family
    from eolake.analysis.make import Made
    from eolake.analysis.plan import Plan, Request
    from eolake.analysis.run import Result
    from eolake.catalog.lake import Lake
    from eolake.catalog.ledger.derivations import Bounds

SHOWN = 20
"""Lines of a list on a terminal; --json has all."""


class SomeFailed(EolakeError):
    """Some outputs could not be made; they are listed above, and the same command tries them again."""


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--datetime", "interval", required=True, metavar="A/B", help="Half-open, solar time: 2019-12-01/2020-02-01; or one month.")
@click.option("--bbox", required=True, metavar="W,S,E,N", help="Degrees. Tiles that it touches are computed whole.")
@click.option("--collection", "asked", multiple=True, metavar="ID", help="Use these inputs only.  [default: all surface reflectance]")
@click.option("--mix", is_flag=True, help="Put all input collections into one output.")
@click.option("--scheduler", metavar="tcp://…", help="A dask scheduler.  [default: processes of this machine]")
@click.option("--workers", type=click.IntRange(min=1), help="How many processes.  [default: one for each core with 2 GB]")
@click.option("--dry-run", is_flag=True, help="Only list what is missing, stale or without inputs.")
@pass_invocation
def analyse(
    call: Invocation,
    name: str,
    interval: str,
    bbox: str,
    asked: tuple[str, ...],
    mix: bool,  # noqa: FBT001 -- click's signature
    scheduler: str | None,
    workers: int | None,
    dry_run: bool,  # noqa: FBT001
) -> None:
    """Derive a collection from the cube.

    Makes what is missing, and again what is stale: because an input was added, changed or removed, or the analysis itself changed. What is
    up to date is not touched: a second run writes nothing.
    """
    from eolake.analysis.cluster import Workers
    from eolake.analysis.families import families
    from eolake.analysis.plan import Request
    from eolake.analysis.registry import analyses
    from eolake.analysis.solar import parse_interval

    request = Request(interval=parse_interval(interval), bbox=parse_bbox(bbox))
    parameters = {"datetime": interval, "bbox": list(request.bbox), "collections": list(asked), "mix": mix}
    reports, lake = [], call.lake()
    with Workers(scheduler=scheduler, count=workers) as pool:
        for analysis in analyses(name):
            report = _Report(call, analysis, families(analysis, asked, mix=mix), request)
            reports.append(report.run(lake, parameters, pool, dry_run=dry_run))
    call.emit({"analysis": name, "outputs": {report["collection"]: report for report in reports}}, _text(reports))
    if any(report["failed"] for report in reports):
        raise SomeFailed


def parse_bbox(text: str) -> Bounds:
    """west, south, east, north; UsageError otherwise."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bbox {text}: write four numbers: west,south,east,north, in degrees") from None
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise UsageError(f"--bbox {text}: west must be below east, south below north, within -180,-90,180,90")
    return west, south, east, north


class _Report:
    """One analysis planned and run, told on stderr as it goes."""

    def __init__(self, call: Invocation, analysis: Analysis, chosen: Sequence[Family], request: Request) -> None:
        self.call, self.analysis, self.families, self.request = call, analysis, chosen, request
        self.done = 0

    def run(self, lake: Lake, parameters: dict[str, Any], workers: Workers, *, dry_run: bool) -> dict[str, Any]:
        """Plan, do what is due, and the report as a JSON document."""
        from eolake.analysis.plan import make_plan
        from eolake.analysis.run import Result, run

        started = time.monotonic()
        with lake.connect(name="eolake analyse") as connection:
            plan = make_plan(connection, self.analysis, self.families, self.request)
            reason = None if plan.due or plan.bereft else self._reason(plan)
        if dry_run or reason:
            return self._document(plan, Result(), reason, time.monotonic() - started, dry_run=dry_run)
        total = len(plan.due)
        self.call.note(f"{self.analysis.collection}: {total} of {len(plan.tasks)} outputs to make from {plan.scenes} scenes")
        result = run(lake, plan, parameters=parameters, workers=workers, progress=lambda made: self._tell(made, total))
        return self._document(plan, result, None, time.monotonic() - started, dry_run=False)

    def _tell(self, made: Made, total: int) -> None:
        self.done += 1
        state = f"{made.seconds:.1f} s" if made.staged else f"FAILED: {made.reason}"
        self.call.note(f"  {self.done}/{total} {made.item_id}: {state}")

    def _reason(self, plan: Plan) -> str:
        """Why there is nothing to do."""
        if plan.tasks:
            return f"all {len(plan.tasks)} outputs are up to date"
        names = ", ".join(family.key for family in self.families)
        where = "{}, {} to {}".format(",".join(f"{n:g}" for n in self.request.bbox), self.request.interval.start, self.request.interval.end)
        if plan.scenes:
            return f"none of {plan.scenes} scenes lies in {where}, or in a tile of the grid there"
        return f"the lake has no scene of {names} in {where} (solar time); `eolake status` shows what there is"

    def _document(self, plan: Plan, result: Result, reason: str | None, seconds: float, *, dry_run: bool) -> dict[str, Any]:
        listed = [{"item": task.item_id, "state": verdict, "inputs": len(task.sources)} for task, verdict in plan.tasks]
        return {
            "collection": self.analysis.collection,
            "dry_run": dry_run,
            "nothing_to_do": reason,
            "scenes": plan.scenes,
            "outputs": len(plan.tasks),
            "missing": plan.count("missing"),
            "stale": plan.count("stale"),
            "current": plan.count("current"),
            "without_inputs": list(plan.bereft),
            "published": result.published,
            "unchanged": result.unchanged,
            "retired": result.retired,
            "failed": result.failed,
            "seconds": round(seconds, 1),
            **({"plan": listed} if dry_run else {}),
        }


def _text(reports: Sequence[dict[str, Any]]) -> str:
    return "\n".join(line for report in reports for line in _lines(report))


def _lines(report: dict[str, Any]) -> list[str]:
    name = report["collection"]
    if report["nothing_to_do"]:
        return [f"{name}: nothing to do: {report['nothing_to_do']}"]
    head = f"{name}: {report['outputs']} outputs from {report['scenes']} scenes: {report['missing']} missing, {report['stale']} stale"
    if report["dry_run"]:
        due = [f"  {row['item']}: {row['state']}, {row['inputs']} scenes" for row in report["plan"] if row["state"] != "current"]
        return [head, *_some([*due, *(f"  {item}: has no inputs any more" for item in report["without_inputs"])])]
    done = ", ".join(f"{len(report[key])} {key}" for key in ("published", "retired", "failed"))
    return [f"{head}; {done} in {report['seconds']} s", *_some([f"  {item}: {reason}" for item, reason in report["failed"].items()])]


def _some(lines: Sequence[str]) -> list[str]:
    more = [f"  … and {len(lines) - SHOWN} more (--json lists all)"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]
