"""OLCI Level 2: land (vegetation indices) and water (reflectances, pigments, aerosol), at full and reduced resolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eolake.ingest.simulators.products.noise import Array, fractal
from eolake.ingest.simulators.products.sentinel3.olci import (
    ROWS,
    Block,
    Files,
    Scene,
    channels,
    coordinate_variables,
    coordinates_file,
    information,
    sea_of,
    write_annotations,
    write_coordinates,
)
from eolake.ingest.simulators.products.spectra import endmember_reflectance, load

WATER_BANDS = (
    "Oa01",
    "Oa02",
    "Oa03",
    "Oa04",
    "Oa05",
    "Oa06",
    "Oa07",
    "Oa08",
    "Oa09",
    "Oa10",
    "Oa11",
    "Oa12",
    "Oa16",
    "Oa17",
    "Oa18",
    "Oa21",
)
_CLOUDY = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """One variable: its file, how it is counted, where it comes from."""

    file: str
    name: str
    text: str
    dtype: Any
    scale: float
    offset: float
    unit: str
    value: Callable[[Block, Scene], Array]

    @property
    def fill(self) -> int:
        return int(np.iinfo(self.dtype).max)

    def counts(self, block: Block, scene: Scene, there: NDArray[np.bool_]) -> NDArray[Any]:
        """Fill where nothing is."""
        values = np.clip(np.rint((self.value(block, scene) - self.offset) / self.scale), 0, self.fill - 1)
        return np.where(there, values, self.fill).astype(self.dtype)


def write_land(scene: Scene, folder: Path) -> Path:
    """Writes an LFR or LRR product into `folder`, which is created, and returns the path of its own folder in there."""
    return _write(scene, folder, "OL_2_L", "SENTINEL-3 OLCI Level 2 Land Product", "LN1", _land_layers(), "LQSF", np.uint32, land=True)


def write_water(scene: Scene, folder: Path) -> Path:
    """Writes a WFR or WRR product into `folder`, which is created, and returns the path of its own folder in there."""
    return _write(scene, folder, "OL_2_W", "SENTINEL-3 OLCI Level 2 Water Product", "MAR", _water_layers(), "WQSF", np.uint64, land=False)


def _write(
    scene: Scene, folder: Path, kind: str, title: str, centre: str, layers: list[_Layer], flags: str, dtype: Any, *, land: bool
) -> Path:
    product = scene.product(kind, title, centre, "003")
    target = folder / product.name
    target.mkdir(parents=True)
    files = Files(target, scene, product, 2)
    totals: dict[str, int] = {}
    with ExitStack() as stack:
        variables = _variables(files, layers, stack)
        places = coordinate_variables(stack.enter_context(coordinates_file(files)))
        text = f"{'Land' if land else 'Water'} Quality and Science Flags"
        names: list[str] = load("olci.yaml")[flags.lower()]
        quality = stack.enter_context(files.open(flags.lower(), text, *ROWS)).variable(
            flags,
            dtype,
            ROWS,
            long_name=text,
            flag_masks=(np.uint64(1) << np.arange(len(names), dtype=np.uint64)).astype(dtype),
            flag_meanings=" ".join(names),
            coordinates="time_stamp altitude latitude longitude",
        )
        for block in scene.blocks():
            found = _classes(block, scene)
            write_coordinates(places, block)
            seen = ~found["INVALID"] & ~found["CLOUD"] & (found["LAND"] if land else found["WATER"])
            for layer, variable in zip(layers, variables, strict=True):
                variable[block.rows] = layer.counts(block, scene, seen)
            bits = np.zeros(seen.shape, dtype)
            for name, where in found.items():
                if name in names:
                    bits |= where.astype(dtype) << dtype(names.index(name))
            quality[block.rows] = bits
            _count(totals, found)
    write_annotations(files, solar=not land)
    bands = [] if land else list(WATER_BANDS)
    _finish(files, information(scene, totals, level=2, bands=bands))
    return target


def _variables(files: Files, layers: list[_Layer], stack: ExitStack) -> list[Any]:
    """Those of the layers, in files that hold one or more of them."""
    opened: dict[str, Any] = {}
    found = []
    for layer in layers:
        if layer.file not in opened:
            opened[layer.file] = stack.enter_context(files.open(layer.file, layer.text, *ROWS, id=_camel(layer.file), measurement=True))
        found.append(
            opened[layer.file].variable(
                layer.name,
                layer.dtype,
                ROWS,
                fill=layer.fill,
                scale_factor=np.float32(layer.scale),
                add_offset=np.float32(layer.offset),
                units=layer.unit,
                long_name=layer.text,
                coordinates="time_stamp altitude latitude longitude",
            )
        )
    return found


def _camel(stem: str) -> str:
    """rc_gifapar is rcGifapar in the manifest; bands keep their names."""
    if stem.startswith("Oa"):
        return stem
    first, *others = stem.split("_")
    return first + "".join(other.title() for other in others)


def _finish(files: Files, described: str) -> None:
    from eolake.ingest.simulators.products.sentinel3.xfdu import write_manifest

    listed = sorted(files.listed, key=lambda file: (not file.measurement, file.name.lower()))
    write_manifest(files.folder, files.product, files.scene.grid.outline(46), listed, described)


def _classes(block: Block, scene: Scene) -> Mapping[str, NDArray[np.bool_]]:
    surface, salt = block.surface, sea_of(block, scene)
    water = surface.fractions["water"]
    return {
        "INVALID": np.broadcast_to(block.invalid, water.shape),
        "WATER": surface.water,
        "LAND": ~surface.water,
        "COASTLINE": salt & (water > 0.05) & (water < 0.95),
        "CLOUD": surface.cloud > _CLOUDY,
        "CLOUD_AMBIGUOUS": (surface.cloud > 0.05) & (surface.cloud <= _CLOUDY),
        "INLAND_WATER": surface.water & ~salt,
    }


def _count(totals: dict[str, int], found: Mapping[str, NDArray[np.bool_]]) -> None:
    for key, name in {
        "land": "LAND",
        "coastline": "COASTLINE",
        "fresh_inland_water": "INLAND_WATER",
        "cloud": "CLOUD",
        "invalid": "INVALID",
    }.items():
        totals[key] = totals.get(key, 0) + int(found[name].sum())


def _surface(name: str) -> Callable[[Block, Scene], Array]:
    return lambda block, _: block.surface.reflectance(channels()[name].band)


def _fapar(block: Block, _: Scene) -> Array:
    red, near = (block.surface.reflectance(channels()[name].band) for name in ("Oa10", "Oa17"))
    return np.asarray(np.clip(1.25 * (near - red) / (near + red) - 0.1, 0, 1))


def _chlorophyll_index(block: Block, _: Scene) -> Array:
    far, edge, red = (block.surface.reflectance(channels()[name].band) for name in ("Oa12", "Oa11", "Oa10"))
    return np.asarray(np.clip((far - edge) / np.maximum(edge - red, 0.004), 0, 6.4))


def _vapour(block: Block, _: Scene) -> Array:
    return np.asarray(21.0 + 0.4 * (block.latitude + 33.0))


def _pigment(block: Block, scene: Scene) -> Array:
    """log10 of mg/m³: more near the coast and in eddies."""
    return np.asarray(-0.4 + 1.2 * fractal(block.longitude * 92_000, block.latitude * 111_195, 60_000, 3, scene.landscape.seed + 700))


def _water(name: str) -> Callable[[Block, Scene], Array]:
    """Water-leaving reflectance: green water is darker in the blue."""
    clean = endmember_reflectance("water", channels()[name].band)
    blue = max(0.0, (560.0 - channels()[name].band.centre) / 160.0)
    return lambda block, scene: clean * (1 - 0.3 * blue * _pigment(block, scene))


def _aerosol(block: Block, _: Scene) -> Array:
    smoke = block.surface.smoke if block.surface.smoke is not None else 0.0
    return np.asarray(0.08 + smoke * (550.0 / 865.0) ** 1.7 + np.zeros(block.longitude.shape))


def _shifted(scale: float, offset: float) -> Callable[[Block, Scene], Array]:
    return lambda block, scene: offset + scale * _pigment(block, scene)


def _land_layers() -> list[_Layer]:
    byte, word = np.uint8, np.uint16
    return [
        _Layer(
            file="gifapar", name="GIFAPAR", text="Green Instantaneous FAPAR", dtype=byte, scale=1 / 254, offset=0.0, unit="1", value=_fapar
        ),
        _Layer(
            file="iwv", name="IWV", text="Integrated water vapour column", dtype=byte, scale=0.3, offset=0.0, unit="kg.m-2", value=_vapour
        ),
        _Layer(
            file="otci",
            name="OTCI",
            text="OLCI Terrestrial Chlorophyll Index",
            dtype=byte,
            scale=6.5 / 254,
            offset=0.0,
            unit="1",
            value=_chlorophyll_index,
        ),
        *(
            _Layer(
                file="rc_gifapar",
                name=f"RC{centre}",
                text="Rectified Reflectance",
                dtype=word,
                scale=1 / 65534,
                offset=0.0,
                unit="1",
                value=_surface(band),
            )
            for centre, band in (("681", "Oa10"), ("865", "Oa17"))
        ),
    ]


def _water_layers() -> list[_Layer]:
    byte, word = np.uint8, np.uint16
    reflectances = [
        _Layer(
            file=f"{name}_reflectance",
            name=f"{name}_reflectance",
            text=f"Reflectance for OLCI acquisition band {name}",
            dtype=word,
            scale=1.7e-5,
            offset=-0.05,
            unit="1",
            value=_water(name),
        )
        for name in WATER_BANDS
    ]
    tables: list[tuple[str, str, str, float, float, str, Callable[[Block, Scene], Array]]] = [
        ("chl_oc4me", "CHL_OC4ME", "Algal pigment concentration (OC4Me)", 0.0158, -2.0, "lg(re mg.m-3)", _pigment),
        ("chl_nn", "CHL_NN", "Algal pigment concentration (neural net)", 0.0158, -2.0, "lg(re mg.m-3)", _shifted(0.9, 0.1)),
        ("tsm_nn", "TSM_NN", "Total suspended matter", 0.0158, -2.0, "lg(re g.m-3)", _shifted(0.8, 0.0)),
        ("iop_nn", "ADG443_NN", "CDM absorption coefficient", 0.0158, -3.0, "lg(re m-1)", _shifted(0.7, -1.2)),
        ("trsp", "KD490_M07", "Diffuse attenuation coefficient", 0.0158, -2.5, "lg(re m-1)", _shifted(0.6, -1.1)),
        ("par", "PAR", "Photosynthetically active radiation", 10.0, 0.0, "microeinstein.m-2.s-1", _radiation),
        ("w_aer", "T865", "Aerosol optical thickness", 0.008, 0.0, "1", _aerosol),
        ("w_aer", "A865", "Aerosol Angstrom exponent", 0.01, -0.1, "1", _exponent),
        ("iwv", "IWV", "Integrated water vapour column", 0.3, 0.0, "kg.m-2", _vapour),
    ]
    others = [
        _Layer(file=file, name=name, text=text, dtype=byte, scale=scale, offset=offset, unit=unit, value=value)
        for file, name, text, scale, offset, unit, value in tables
    ]
    return [*reflectances, *others]


def _radiation(block: Block, _: Scene) -> Array:
    return np.asarray(2200.0 * np.cos(np.radians(block.sun)))


def _exponent(block: Block, scene: Scene) -> Array:
    """Smoke is of small particles."""
    return np.asarray(0.6 + 1.0 * np.minimum(_aerosol(block, scene), 1.0))
