"""What surrounds the files of a Sentinel-3 product: its name and xfdumanifest.xml, as the processing centres write them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import quoteattr

from eolake.ingest.simulators.products.sentinel3.geometry import ALTITUDE, EARTH, PERIOD, Pass

Instrument = Literal["OLCI", "SLSTR"]

_NAMES = {"OLCI": "Ocean Land Colour Instrument", "SLSTR": "Sea and Land Surface Temperature Radiometer"}
_SATELLITES = {"A": "2016-011A", "B": "2018-039A"}
_FRAME = 180
"""s: products begin at multiples of it after the ascending node"""
_LAG = timedelta(hours=28, minutes=41, seconds=55)
"""from sensing to the product"""
_LEAP_SECONDS = 37


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One NetCDF file of a product, as the manifest lists it."""

    name: str
    """with .nc"""
    id: str
    """stem of its identifiers: Oa01_radiance, SLSTR_FLAGS_AN_; `Unit` and `Data` follow"""
    text: str
    measurement: bool = False
    """not an annotation"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a product says of itself."""

    type: str
    """eleven characters: OL_1_EFR___"""
    title: str
    """SENTINEL-3 OLCI Level 1 Earth Observation Full Resolution Product"""
    orbit: Pass
    begin: float
    """s after the descending node"""
    end: float
    centre: str
    """that processed it: LN1"""
    baseline: str
    """collection: 002"""

    @property
    def instrument(self) -> Instrument:
        """OLCI or SLSTR"""
        return "OLCI" if self.type.startswith("OL") else "SLSTR"

    @property
    def start(self) -> datetime:
        """of sensing"""
        return self.orbit.time(self.begin)

    @property
    def stop(self) -> datetime:
        """of sensing"""
        return self.orbit.time(self.end)

    @property
    def created(self) -> datetime:
        """When it was processed, whole seconds."""
        return (self.start + _LAG).replace(microsecond=0)

    @property
    def duration(self) -> int:
        """s"""
        return int(self.end - self.begin)

    @property
    def frame(self) -> int:
        """Along-track coordinate: seconds from the ascending node to the frame that it begins in."""
        return int((self.begin + PERIOD / 2) // _FRAME) * _FRAME

    @property
    def name(self) -> str:
        """Of its folder."""
        start, stop, created = (f"{moment:%Y%m%dT%H%M%S}" for moment in (self.start, self.stop, self.created))
        place = f"{self.duration:04d}_{self.orbit.cycle:03d}_{self.orbit.relative_orbit:03d}_{self.frame:04d}"
        return f"S3{self.orbit.platform}_{self.type}_{start}_{stop}_{created}_{place}_{self.centre}_O_NT_{self.baseline}.SEN3"


def stamp(moment: datetime) -> str:
    """2019-12-31T23:35:19.863491Z"""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def write_manifest(
    folder: Path, product: Product, outline: Sequence[tuple[float, float]], files: Sequence[DataFile], information: str
) -> None:
    """Writes xfdumanifest.xml beside the `files`, which are there; `information` is the XML of the instrument's own section."""
    sizes = {file.name: (folder / file.name).stat().st_size for file in files}
    short = product.instrument.lower()
    level = product.type.split("_")[1]
    sections = [
        _section("acquisitionPeriod", "Acquisition Period", _period(product)),
        _section("platform", "Platform Description", _platform(product)),
        _section("measurementFrameSet", "Frame Set", _frame_set(outline)),
        _section("generalProductInformation", "General Product Information", _general(product, sum(sizes.values()))),
        _section(f"{short}ProductInformation", f"{short.title()} Product Information", information),
        _section("measurementOrbitReference", "Orbit Reference", _orbit(product)),
        _section("measurementQualityInformation", "Quality Information", _QUALITY),
        _section("processing", "Processing", _processing(product), provenance=True),
    ]
    described = " ".join(
        f"{name}" for name in ("acquisitionPeriod", "platform", "measurementOrbitReference", "measurementQualityInformation", "processing")
    )
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:sentinel-safe="http://www.esa.int/safe/sentinel/1.1" \
xmlns:gml="http://www.opengis.net/gml" \
xmlns:sentinel3="http://www.esa.int/safe/sentinel/sentinel-3/1.0" xmlns:{short}="http://www.esa.int/safe/sentinel/sentinel-3/{short}/1.0" \
version="esa/safe/sentinel/sentinel-3/{short}/level-{level}/1.0">
  <informationPackageMap>
    <xfdu:contentUnit ID="packageUnit" unitType="Information Package" textInfo="{product.title}" \
dmdID="{described} measurementFrameSet generalProductInformation {short}ProductInformation" pdiID="processing">
{"".join(_unit(file) for file in files)}    </xfdu:contentUnit>
  </informationPackageMap>
  <metadataSection>
{"".join(sections)}{"".join(_annotation(file) for file in files if not file.measurement)}  </metadataSection>
  <dataObjectSection>
{"".join(_object(file, folder / file.name, sizes[file.name]) for file in files)}  </dataObjectSection>
</xfdu:XFDU>
"""
    (folder / "xfdumanifest.xml").write_text(text, "utf-8")


def _unit(file: DataFile) -> str:
    kind = "Measurement" if file.measurement else "Annotation"
    return f"""      <xfdu:contentUnit ID="{file.id}Unit" unitType="{kind} Data Unit" textInfo={quoteattr(file.text)}>
        <dataObjectPointer dataObjectID="{file.id}Data"/>
      </xfdu:contentUnit>
"""


def _annotation(file: DataFile) -> str:
    return f"""    <metadataObject ID="{file.id}Annotation" classification="DESCRIPTION" category="DMD">
      <dataObjectPointer dataObjectID="{file.id}Data"/>
    </metadataObject>
"""


def _object(file: DataFile, path: Path, size: int) -> str:
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return f"""    <dataObject ID="{file.id}Data">
      <byteStream mimeType="application/x-netcdf" size="{size}">
        <fileLocation locatorType="URL" textInfo={quoteattr(file.text)} href="./{file.name}"/>
        <checksum checksumName="MD5">{digest}</checksum>
      </byteStream>
    </dataObject>
"""


def _section(name: str, text: str, content: str, *, provenance: bool = False) -> str:
    classes = 'classification="PROVENANCE" category="PDI"' if provenance else 'classification="DESCRIPTION" category="DMD"'
    lines = "\n".join(f"          {line}" for line in content.strip().splitlines())
    return f"""    <metadataObject ID="{name}" {classes}>
      <metadataWrap mimeType="text/xml" vocabularyName="Sentinel-SAFE" textInfo="{text}">
        <xmlData>
{lines}
        </xmlData>
      </metadataWrap>
    </metadataObject>
"""


def _period(product: Product) -> str:
    return f"""<sentinel-safe:acquisitionPeriod>
  <sentinel-safe:startTime>{stamp(product.start)}</sentinel-safe:startTime>
  <sentinel-safe:stopTime>{stamp(product.stop)}</sentinel-safe:stopTime>
</sentinel-safe:acquisitionPeriod>"""


def _platform(product: Product) -> str:
    return f"""<sentinel-safe:platform>
  <sentinel-safe:nssdcIdentifier>{_SATELLITES[product.orbit.platform]}</sentinel-safe:nssdcIdentifier>
  <sentinel-safe:familyName>Sentinel-3</sentinel-safe:familyName>
  <sentinel-safe:number>{product.orbit.platform}</sentinel-safe:number>
  <sentinel-safe:instrument>
    <sentinel-safe:familyName abbreviation="{product.instrument}">{_NAMES[product.instrument]}</sentinel-safe:familyName>
    <sentinel-safe:mode identifier="EO">Earth Observation</sentinel-safe:mode>
  </sentinel-safe:instrument>
</sentinel-safe:platform>"""


def _frame_set(outline: Sequence[tuple[float, float]]) -> str:
    points = " ".join(f"{latitude:.6g} {longitude:.6g}" for longitude, latitude in outline)
    return f"""<sentinel-safe:frameSet>
  <sentinel-safe:footPrint srsName="http://www.opengis.net/def/crs/EPSG/0/4326">
    <gml:posList>{points}</gml:posList>
  </sentinel-safe:footPrint>
</sentinel-safe:frameSet>"""


def _general(product: Product, size: int) -> str:
    received = product.start + timedelta(minutes=50)
    return f"""<sentinel3:generalProductInformation>
  <sentinel3:productName>{product.name}</sentinel3:productName>
  <sentinel3:productType>{product.type}</sentinel3:productType>
  <sentinel3:timeliness>NT</sentinel3:timeliness>
  <sentinel3:baselineCollection>{product.baseline}</sentinel3:baselineCollection>
  <sentinel3:creationTime>{product.created:%Y%m%dT%H%M%S}</sentinel3:creationTime>
  <sentinel3:productSize>{size}</sentinel3:productSize>
  <sentinel3:dumpInformation>
    <sentinel3:dumpStart>{stamp(product.orbit.time(-PERIOD / 2))}</sentinel3:dumpStart>
    <sentinel3:receivingGroundStation>CGS</sentinel3:receivingGroundStation>
    <sentinel3:receivingStartTime>{stamp(received)}</sentinel3:receivingStartTime>
    <sentinel3:receivingStopTime>{stamp(received + timedelta(minutes=7))}</sentinel3:receivingStopTime>
  </sentinel3:dumpInformation>
  <sentinel3:dispositionMode>Operational</sentinel3:dispositionMode>
  <sentinel3:productUnit>
    <sentinel3:type>FRAME</sentinel3:type>
    <sentinel3:duration>{product.duration}</sentinel3:duration>
    <sentinel3:alongtrackCoordinate>{product.frame}</sentinel3:alongtrackCoordinate>
  </sentinel3:productUnit>
</sentinel3:generalProductInformation>"""


def _orbit(product: Product) -> str:
    orbit = product.orbit
    number = 'type="start" groundTrackDirection="descending"'
    return f"""<sentinel-safe:orbitReference>
  <sentinel-safe:orbitNumber {number}>{orbit.orbit}</sentinel-safe:orbitNumber>
  <sentinel-safe:relativeOrbitNumber {number}>{orbit.relative_orbit}</sentinel-safe:relativeOrbitNumber>
  <sentinel-safe:passNumber {number}>{2 * orbit.orbit}</sentinel-safe:passNumber>
  <sentinel-safe:relativePassNumber {number}>{2 * orbit.relative_orbit}</sentinel-safe:relativePassNumber>
  <sentinel-safe:cycleNumber>{orbit.cycle}</sentinel-safe:cycleNumber>
  <sentinel-safe:phaseIdentifier>{1 if orbit.platform == "A" else 4}</sentinel-safe:phaseIdentifier>
  <sentinel-safe:elementSet>
{_ephemeris(orbit, -PERIOD / 2)}{_ephemeris(orbit, PERIOD / 2)}  </sentinel-safe:elementSet>
</sentinel-safe:orbitReference>"""


def _ephemeris(orbit: Pass, seconds: float) -> str:
    """Position (m) and velocity (m/s), fixed to the turning Earth, at an ascending node."""
    import numpy as np

    moment = orbit.time(seconds)
    here, there = (orbit.track(np.array(seconds + step))[0] * (EARTH + ALTITUDE) for step in (0.0, 1.0))

    def vector(name: str, values: object) -> str:
        lines = "".join(
            f"        <sentinel-safe:{axis}>{value:.6f}</sentinel-safe:{axis}>\n"
            for axis, value in zip("xyz", np.asarray(values), strict=True)
        )
        return f"      <sentinel-safe:{name}>\n{lines}      </sentinel-safe:{name}>\n"

    return f"""    <sentinel-safe:ephemeris>
      <sentinel-safe:epoch type="TAI">{stamp(moment + timedelta(seconds=_LEAP_SECONDS))[:-1]}</sentinel-safe:epoch>
      <sentinel-safe:epoch type="UTC">{stamp(moment)}</sentinel-safe:epoch>
{vector("position", here)}{vector("velocity", there - here)}    </sentinel-safe:ephemeris>
"""


_QUALITY = """<sentinel-safe:qualityInformation>
  <sentinel-safe:extension>
    <sentinel3:productQuality>
      <sentinel3:onlineQualityCheck>PASSED</sentinel3:onlineQualityCheck>
    </sentinel3:productQuality>
  </sentinel-safe:extension>
</sentinel-safe:qualityInformation>"""


def _processing(product: Product) -> str:
    started, level = product.created - timedelta(minutes=9), product.type.split("_")[1]
    times = f'start="{stamp(started)[:-1]}" stop="{stamp(product.created)[:-1]}"'
    return f"""<sentinel-safe:processing name="DataProcessing" outputLevel="{level}" {times}>
  <sentinel-safe:facility name="Simulated Processing Centre [{product.centre}]" organisation="Simulated" site="none" country="none">
    <sentinel-safe:hardware name="OPE"/>
    <sentinel-safe:software name="eolake" version="1"/>
  </sentinel-safe:facility>
</sentinel-safe:processing>"""
