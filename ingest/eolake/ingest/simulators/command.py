"""`eolake simulate`: make input where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from eolake.catalog.durations import Duration
from eolake.catalog.invocation import Invocation, pass_invocation

if TYPE_CHECKING:  # numpy and rasterio would be loaded for every `--help`
    from eolake.ingest.simulators.products.landscape import Landscape
    from eolake.ingest.simulators.products.scenes import Kind


PROVIDERS: Mapping[str, str] = {
    "cdse": "the Copernicus Data Space Ecosystem",
    "stac": "a STAC API",
    "m2m": "USGS Machine-to-Machine",
    "hyp3": "ASF HyP3",
    "dhus": "a DHuS hub",
    "eumetsat": "the EUMETSAT Data Store",
    "directory": "a web server that lists its folders",
    "ftp": "an FTP server",
    "s3": "an S3 bucket",
    "resto": "CDSE's OpenSearch as it was in 2023",
}
"""As in `stages.yaml`, which `--help` does not wait for."""
KINDS = (
    "landsat_c2_l2",
    "landsat_c2_l1",
    "s2_l2a",
    "s2_l1c",
    "s3_olci_l1_efr",
    "s3_olci_l1_err",
    "s3_olci_l2_lfr",
    "s3_olci_l2_lrr",
    "s3_olci_l2_wfr",
    "s3_olci_l2_wrr",
    "s3_slstr_l1_rbt",
    "s3_slstr_l2_lst",
    "s3_slstr_l2_frp",
)
"""Of `scenes.SIZES`."""
FLOODS = ("hydrosar_rtc", "hydrosar_water")
"""HyP3's packages of a simulated flood."""


@click.group()
def simulate() -> None:
    """Products and providers that need no account and no network.

    `products` writes products into a folder; the other names start a provider on this machine that has them, and print the account
    and the lines for eolake.toml that point at it.
    """


@simulate.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=2019, show_default=True, help="Another seed, another landscape.")
@click.option(
    "--size",
    type=int,
    help="Side in pixels: of 30 m (Landsat), of 10 m and a multiple of 6 (Sentinel-2), 300 m to 1.2 km (Sentinel-3; 0: a whole product).",
)
@click.option("--kind", type=click.Choice((*KINDS, *FLOODS)), help="One product of this kind only.")
@click.option("--season", is_flag=True, help="Products of all sensors over the fires of a season, and truth.geojson: what is in them.")
@click.option("--when", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), help="With --kind: its time, UTC.")
@click.option("--baseline", default="05.00", show_default=True, help="With --kind: the processing baseline of Sentinel-2.")
@click.option("--cloud", default=0.0, show_default=True, help="With --kind: share of the sky, 0 to 1.")
@pass_invocation
def products(
    call: Invocation,
    folder: Path,
    seed: int,
    size: int | None,
    kind: str | None,
    season: bool,  # noqa: FBT001 - click passes it by name
    when: datetime | None,
    baseline: str,
    cloud: float,
) -> None:
    """Write Landsat and Sentinel-2 products over New South Wales into FOLDER, before and after a fire; print their paths.

    Products that are there already are left as they are. Sentinel-3: --kind and --when, the nearest pass is taken; or --season.
    """
    from eolake.ingest.simulators.products.demo import generate_demo
    from eolake.ingest.simulators.products.landscape import Landscape

    landscape = Landscape(seed=seed)
    if season and kind is None:
        from eolake.ingest.simulators.products.season import Season
        from eolake.ingest.simulators.products.season_scenes import generate_season

        paths = generate_season(folder, season=Season(seed=seed), size=size, cloud=cloud)
    elif kind is None:
        paths = generate_demo(folder, landscape=landscape, size=size)
    else:
        paths = [_one(folder, landscape if not (season or kind.startswith("s3")) else _burning(seed), kind, when, size, baseline, cloud)]
    call.emit({"products": [str(path) for path in paths]}, "\n".join(str(path) for path in paths))


def _burning(seed: int) -> Landscape:
    from eolake.ingest.simulators.products.landscape import Landscape
    from eolake.ingest.simulators.products.season import Season

    return Landscape(seed=seed, season=Season(seed=seed))


def _one(folder: Path, landscape: Landscape, kind: str, when: datetime | None, size: int | None, baseline: str, cloud: float) -> Path:
    from eolake.catalog.errors import UsageError
    from eolake.ingest.simulators.products.scenes import generate_scene

    if when is None:
        raise UsageError("--kind needs --when, for instance --when 2019-12-15T23:50:23Z")
    if kind in FLOODS:
        from eolake.ingest.simulators.products.hydrosar import Flood, generate_hydrosar

        package: Literal["rtc", "water"] = "rtc" if kind == "hydrosar_rtc" else "water"
        return generate_hydrosar(package, when.replace(tzinfo=UTC), folder, flood=Flood(seed=landscape.seed), size=size or 300)
    return generate_scene(
        cast("Kind", kind),
        when.replace(tzinfo=UTC),
        folder,
        landscape=landscape,
        size=size,
        baseline=baseline,
        cloud=cloud,
    )


def _provider(name: str, about: str) -> click.Command:
    """`eolake simulate NAME`."""

    @click.command(name, help=f"Run {about}, until Ctrl-C.", short_help=about)
    @click.option(
        "--products", type=click.Path(file_okay=False, path_type=Path), help="What it has.  [default: products made for the occasion]"
    )
    @click.option("--size", type=int, help="Side of products that are made, as for `products`.")
    @click.option("--recent", is_flag=True, help="Its products were published a moment ago, not after their sensing.")
    @click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="[default: any free one]")
    @click.option(
        "--faults", default="none", show_default=True, metavar="NAME|FILE", help="How it misbehaves: flaky, slow, busy, hostile, retired, …"
    )
    @click.option("--connections", type=click.IntRange(1), metavar="N", help="Files of one account at once.")
    @click.option("--rate", type=click.FloatRange(1), metavar="BYTES/s", help="Of each connection.")
    @click.option("--seed", default=0, show_default=True, help="Another seed, other faults.")
    @click.option("--trickle", type=Duration(), metavar="TIME", help="Publish its products one by one, this long after each other: 10s.")
    @click.option("--max-time", type=Duration(), metavar="TIME", help="End by itself after this long: 50m, 2h.")
    @pass_invocation
    def run(call: Invocation, /, **options: Any) -> None:
        from eolake.ingest.simulators.running import Run

        Run(call=call, name=name, **options).until_stopped()

    return run


for _name, _about in PROVIDERS.items():
    simulate.add_command(_provider(_name, _about))
