"""What an analysis is: a pure function from pixels to the bands of a derived collection, and what it needs.

A new analysis is one module with one object that has these attributes, one declaration
`collections/<collection>.yaml` with `derived: true`, and one entry point in the group `eolake.analyses`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.gridspec import GridSpec

Period = Literal["scene", "month"]
"""`scene`: one output for each input scene; `month`: one for each solar month and tile."""

CLOUDS = frozenset(
    {
        "fill", "no_data", "dropped_pixel", "saturated_or_defective",
        "cloud", "dilated_cloud", "opaque_cloud", "cloud_medium_probability", "cloud_high_probability",
        "cloud_shadow", "cloud_shadows", "cirrus", "cirrus_cloud", "thin_cirrus",
    }
)  # fmt: skip
"""Classes and bit fields of the declared quality bands (Landsat QA_PIXEL, BQA; Sentinel-2 SCL) that hide the ground."""
SNOW = frozenset({"snow", "snow_ice"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Bands that an analysis wants, from every collection that has them all."""

    bands: Mapping[str, tuple[str, ...]]
    """Variable of the dataset that `compute` gets → band names, of which the first that a collection declares is taken."""
    level: str = "L2"
    """Collections whose processing level begins so are used unless the caller names others."""
    masked: frozenset[str] = CLOUDS
    """Classes and bit fields of the collection's quality band; such pixels are NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Square tiles of one grid; tile (0, 0) has its lower left corner at the CRS's origin."""

    crs: str
    resolution: float
    """Units of the CRS."""
    pixels: int
    """Per side of a tile."""
    meridian: float
    """Degrees east, whose solar months the outputs span: the same for all tiles, so that a load of several tiles has one time."""

    def spec(self) -> GridSpec:
        """As odc-geo has it: north is up."""
        from odc.geo.gridspec import GridSpec

        return GridSpec(self.crs, (self.pixels, self.pixels), self.resolution)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What `compute` returns for one block of pixels."""

    bands: Mapping[str, xr.DataArray]
    """(y, x), by the band names of the derived collection, in their dtypes."""
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Rows by table name, stored beside the bands as CSV; those of all blocks one after the other."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Item properties; the same for every block."""


class Analysis(Protocol):
    """A pure function of its inputs and parameters: the same pixels in, the same bytes out, on any number of workers."""

    @property
    def name(self) -> str:
        """Lower snake case; what `eolake analyse` is called with."""
        ...

    @property
    def version(self) -> str:
        """Changes when the same inputs would give other results; then everything published is stale."""
        ...

    @property
    def collection(self) -> str:
        """The declared collection that it makes."""
        ...

    @property
    def inputs(self) -> Mapping[str, Input]:
        """What `compute` gets, by name."""
        ...

    @property
    def period(self) -> Period:
        """What one output spans."""
        ...

    @property
    def grid(self) -> TileGrid | None:
        """The tiles of the outputs; None: the grid of each scene."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """JSON values that the result depends on."""
        ...

    @property
    def description(self) -> str:
        """One sentence: how it is done (`processing:lineage`)."""
        ...

    def compute(self, inputs: Mapping[str, xr.Dataset]) -> Output:
        """One block of pixels, each on its own: dimensions (time, y, x), time being solar days in ascending order.

        Values are physical (scale and offset applied), float32, NaN where the input has nothing or is masked.
        Pixels of one day from several scenes are one layer. Blocks that no scene covers are not computed: their bands are nodata."""
        ...
