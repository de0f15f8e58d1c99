"""What a manifest says, and what is wrong with a product that says otherwise."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from support.manifests import zipped

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.manifest import EXPENDABLE

FILES = {"measurement.nc": b"pixels" * 1000, "data/Ångström & co.nc": b"more pixels", "preview/quick-look.png": b"PNG"}
ANY = re.compile("")


def _hyphens(names: Iterable[str]) -> list[str]:
    return [name.replace(" ", "-") for name in names]


def stream(name: str, content: bytes, *, method: str = "MD5", **changed: Any) -> str:
    """One dataObject as Sentinel-3 writes it."""
    algorithm = method.lower().replace("sha-", "sha").replace("-", "_")
    facts = {"size": len(content), "digest": hashlib.new(algorithm, content).hexdigest(), "href": f"./{name}", **changed}
    href = str(facts["href"]).replace("&", "&amp;")
    return f"""<dataObject ID="x"><byteStream mimeType="application/x-netcdf" size="{facts["size"]}">
      <fileLocation locatorType="URL" href="{href}" textInfo="&lt;"/><checksum checksumName="{method}">{facts["digest"]}</checksum>
    </byteStream></dataObject>"""


def document(*streams: str) -> str:
    return f"""<?xml version="1.0"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"><metadataSection/>
    <!-- a comment --><dataObjectSection>{"".join(streams)}</dataObjectSection></xfdu:XFDU>"""


def made(folder: Path, *streams: str, files: dict[str, bytes] | None = None) -> Path:
    """A product with that manifest."""
    product = folder / "P.SEN3"
    product.mkdir()
    for name, content in (FILES if files is None else files).items():
        (product / name).parent.mkdir(parents=True, exist_ok=True)
        (product / name).write_bytes(content)
    (product / "xfdumanifest.xml").write_text(document(*(streams or (stream(*file) for file in FILES.items()))))
    return product


def checked(product: Path, workspace: Path, *, wanted: str = "", only: str | None = None) -> safe.Manifest:
    workspace = Path(tempfile.mkdtemp(dir=workspace))
    opened = safe.open_product(product, workspace, wanted=re.compile(wanted))
    manifest = safe.read_manifest(opened.find(re.compile("^xfdumanifest.xml$")))
    safe.check_files(opened, manifest, only=re.compile(only) if only is not None else None)
    return manifest


@pytest.fixture(params=["folder", "zip"])
def delivered(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], Path]:
    """A product as it comes: a folder, or packed."""
    return lambda product: product if request.param == "folder" else zipped(product, tmp_path / f"{product.name}.zip")


@pytest.mark.parametrize("method", ["MD5", "SHA-256", "SHA3-256", "SHA512", "sha-1", "SHA3-512"])
def test_a_product_that_is_what_its_manifest_says(tmp_path: Path, method: str, delivered: Callable[[Path], Path]) -> None:
    product = made(tmp_path, *(stream(*file, method=method) for file in FILES.items()))
    manifest = checked(delivered(product), tmp_path)
    assert [(entry.name, entry.size) for entry in manifest.entries] == [(name, len(content)) for name, content in FILES.items()]
    assert manifest.root.find("metadataSection") is not None


def test_names_are_written_in_many_ways(tmp_path: Path) -> None:
    """Without ./, with a slash twice, percent signs for what URLs do not have; sizes and digests that are not given are not checked."""
    hrefs = ["measurement.nc", ".//data/%C3%85ngstr%C3%B6m%20%26%20co.nc", "preview/./quick-look.png"]
    product = made(tmp_path, *(stream(name, content, href=href) for (name, content), href in zip(FILES.items(), hrefs, strict=True)))
    text = (product / "xfdumanifest.xml").read_text()
    (product / "xfdumanifest.xml").write_text(re.sub(r'size="11"', "", re.sub(r"<checksum[^>]*>[^<]*</checksum>", "", text, count=1)))
    manifest = checked(product, tmp_path)
    assert [entry.name for entry in manifest.entries] == list(FILES)
    assert [(entry.size, len(entry.digests)) for entry in manifest.entries] == [(6000, 0), (None, 1), (3, 1)]


def test_leading_zeros_may_be_missing_and_letters_may_be_large(tmp_path: Path) -> None:
    content = next(bytes([n, m]) for n in range(256) for m in range(256) if hashlib.md5(bytes([n, m])).hexdigest().startswith("00"))
    short = hashlib.md5(content).hexdigest().lstrip("0").upper()
    product = made(tmp_path, stream("a.nc", content, digest=f"\n {short} \n"), files={"a.nc": content})
    assert checked(product, tmp_path).entries[0].digests == (("md5", hashlib.md5(content).hexdigest()),)


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a file is missing": (lambda p: (p / "measurement.nc").unlink(), r"measurement\.nc is missing$"),
    "a file is shorter": (lambda p: (p / "measurement.nc").write_bytes(b"pixels"), r"measurement\.nc has 6 bytes instead of 6,000$"),
    "a bit is flipped": (
        lambda p: (p / "measurement.nc").write_bytes(b"pixelr" + FILES["measurement.nc"][6:]),
        r"the MD5 of measurement\.nc is [0-9a-f]{32} instead of [0-9a-f]{32}$",
    ),
    "several": (
        lambda p: [(p / "measurement.nc").unlink(), (p / "data/Ångström & co.nc").write_bytes(b"")],
        r"measurement\.nc is missing; data/Ångström & co\.nc has 0 bytes instead of 11$",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BROKEN.values(), ids=_hyphens(BROKEN))
def test_what_is_wrong_is_said(tmp_path: Path, change: Callable[[Path], Any], reason: str, delivered: Callable[[Path], Path]) -> None:
    product = made(tmp_path)
    change(product)
    with pytest.raises(BadProduct, match=rf"P\.SEN3(\.zip)? is not what its xfdumanifest\.xml says: {reason}"):
        checked(delivered(product), tmp_path)


def test_of_many_faults_the_first_are_listed(tmp_path: Path) -> None:
    product = made(tmp_path, *(stream(f"{n}.nc", b"") for n in range(9)), files={})
    with pytest.raises(BadProduct, match=r"0\.nc is missing; .*4\.nc is missing, and 4 more$"):
        checked(product, tmp_path)


def test_pages_and_pictures_may_be_missing_but_not_wrong(tmp_path: Path) -> None:
    product = made(tmp_path)
    (product / "preview/quick-look.png").write_bytes(b"JPG")
    with pytest.raises(BadProduct, match=r"the MD5 of preview/quick-look\.png"):
        checked(product, tmp_path)
    (product / "preview/quick-look.png").unlink()
    checked(product, tmp_path)


@pytest.mark.parametrize(
    ("name", "expendable"),
    [
        ("INSPIRE.xml", True),
        ("HTML/UserProduct_index.xsl", True),
        ("preview/map-overlay.kml", True),
        ("support/s1-level-1.xsd", True),
        ("rep_info/S2_User_Product_Level-1C_Metadata.xsd", True),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/QI_DATA/T55JEJ_20171207T002051_PVI.jp2", True),
        ("browse.jpg", True),
        ("EOPMetadata.xml", False),
        ("MTD_MSIL1C.xml", False),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/IMG_DATA/T55JEJ_20171207T002051_B01.jp2", False),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/QI_DATA/MSK_CLOUDS_B00.gml", False),
        ("Oa01_radiance.nc", False),
        ("annotation/s1a-iw-grd-vh-20241217t061735-20241217t061800-057028-07020f-002.xml", False),
    ],
)
def test_what_is_expendable(name: str, *, expendable: bool) -> None:
    assert bool(EXPENDABLE.search(name)) == expendable


def test_what_is_not_wanted_counts_by_its_size_alone(tmp_path: Path, delivered: Callable[[Path], Path]) -> None:
    """Of an archive it is not unpacked: the table of contents knows its size."""
    product = made(tmp_path)
    same_size = b"PIXELS" * 1000
    (product / "measurement.nc").write_bytes(same_size)
    path = delivered(product)
    checked(path, tmp_path, wanted="xfdumanifest|data/")
    (product / "measurement.nc").write_bytes(same_size[:-1])
    path = delivered(product)
    with pytest.raises(BadProduct, match=r"measurement\.nc has 5,999 bytes instead of 6,000"):
        checked(path, tmp_path, wanted="xfdumanifest|data/")


def test_only_some_entries(tmp_path: Path) -> None:
    product = made(tmp_path)
    (product / "measurement.nc").unlink()
    checked(product, tmp_path, only=r"\.png$|data/")
    with pytest.raises(BadProduct, match=r"measurement\.nc is missing$"):
        checked(product, tmp_path, only="measurement")


ATTACKS = {
    "a parent": "../other/secret",
    "a detour": "data/../../secret",
    "an escaped parent": "%2e%2e/secret",
    "an absolute path": "/etc/passwd",
    "an escaped absolute path": "%2Fetc/passwd",
    "a file URL": "file:///etc/passwd",
    "another host": "//host/share/a.nc",
    "the web": "https://example.org/a.nc",
    "a virtual file": "ftp:a",
    "backslashes": "..\\secret",
    "an escaped line break": "a%0Ab.nc",
    "an escaped zero": "a%00.nc",
    "the product itself": "./",
}


@pytest.mark.parametrize("href", ATTACKS.values(), ids=_hyphens(ATTACKS))
def test_names_that_leave_the_product_are_refused(tmp_path: Path, href: str) -> None:
    product = made(tmp_path, stream("x", b"", href=href))
    (tmp_path / "secret").write_bytes(b"")
    with pytest.raises(UnsafeProduct, match=r"xfdumanifest\.xml is refused: the href .* (leaves the product|is no relative path)"):
        safe.read_manifest(product / "xfdumanifest.xml")


def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    product = made(tmp_path)
    (tmp_path / "secret").write_bytes(FILES["measurement.nc"])
    (product / "measurement.nc").unlink()
    (product / "measurement.nc").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeProduct, match=r"measurement\.nc is refused: it is a link"):
        checked(product, tmp_path)


STRANGE = {
    "another document": ("<html/>", r"is no manifest: its root is 'html' instead of XFDU"),
    "no files": (document(), r"xfdumanifest\.xml lists no file"),
    "no place": (document("<byteStream size='1'/>"), r"a byteStream has 0 locations"),
    "an empty place": (document(stream("x", b"", href="")), r"a byteStream has 1 locations; each has one, with a href"),
    "a size that is none": (document(stream("x", b"", size="-1")), r"the size of x is '-1'"),
    "a size of other digits": (document(stream("x", b"", size="٣")), r"the size of x is"),
    "an unknown method": (document(stream("x", b"").replace("MD5", "CRC-64")), r"the checksum of x is of the unknown method 'CRC-64'"),
    "a digest that is none": (document(stream("x", b"", digest="zz")), r"the checksum of x is no MD5: 'zz'"),
    "a digest that is too long": (document(stream("x", b"", digest="0" * 33)), r"the checksum of x is no MD5"),
    "an empty digest": (document(stream("x", b"", digest="")), r"the checksum of x is no MD5"),
    "a file twice": (document(stream("x", b""), stream("x", b"y", href="./x")), r"lists x twice, and differently"),
    "cut off": (document(stream("x", b""))[:-20], r"is not valid XML"),
}


@pytest.mark.parametrize(("text", "reason"), STRANGE.values(), ids=_hyphens(STRANGE))
def test_manifests_that_are_none(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "xfdumanifest.xml"
    path.write_text(text)
    with pytest.raises(BadProduct, match=reason):
        safe.read_manifest(path)


def test_a_file_that_is_listed_twice_with_two_digests(tmp_path: Path) -> None:
    product = made(
        tmp_path, stream("measurement.nc", FILES["measurement.nc"]), stream("measurement.nc", FILES["measurement.nc"], method="SHA-256")
    )
    (entry,) = checked(product, tmp_path).entries
    assert [method for method, _ in entry.digests] == ["md5", "sha256"]
    (product / "measurement.nc").write_bytes(b"PIXELS" * 1000)
    with pytest.raises(BadProduct, match=r"the MD5 of measurement.nc .*; the SHA256 of measurement.nc"):
        checked(product, tmp_path)


def test_more_files_than_any_product_has(tmp_path: Path) -> None:
    product = made(tmp_path, *(stream(f"{n}.nc", b"") for n in range(20)), files={})
    with pytest.raises(UnsafeProduct, match="lists more than 19 files"):
        safe.read_manifest(product / "xfdumanifest.xml", limits=safe.Limits(members=19))


def test_a_manifest_with_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "xfdumanifest.xml"
    path.write_text('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + document(stream("x", b"", href="&e;")).partition("?>")[2])
    with pytest.raises(UnsafeProduct, match="DTD or entities"):
        safe.read_manifest(path)


def test_lists_of_digests(tmp_path: Path) -> None:
    """As md5sum writes them, for text and for binary files."""
    path = tmp_path / "LC09_MD5.txt"
    digests = [hashlib.md5(bytes([n])).hexdigest() for n in range(2)]
    path.write_text(f"{digests[0]}  LC09_B1.TIF\n\n{digests[1]} *LC09_B2.TIF\n")
    found = {entry.name: entry.digests for entry in safe.read_sums(path).entries}
    assert found == {"LC09_B1.TIF": (("md5", digests[0]),), "LC09_B2.TIF": (("md5", digests[1]),)}


@pytest.mark.parametrize("line", ["", "LC09_B1.TIF", f"{'g' * 32}  a.TIF", f"{'0' * 31}  a.TIF", "0" * 32, f"{'0' * 32}  "])
def test_lists_of_digests_that_are_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "LC09_MD5.txt"
    path.write_text(f"{line}\n")
    with pytest.raises(BadProduct, match=r"LC09_MD5\.txt (is no list of MD5 digests; it has the line|lists no file)"):
        safe.read_sums(path)
    path.write_text(f"{'0' * 32}  ../a.TIF\n")
    with pytest.raises(UnsafeProduct, match="leaves the product"):
        safe.read_sums(path)
