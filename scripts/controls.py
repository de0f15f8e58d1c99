"""Does a test fail when a control of the gate is removed? Each control is switched off in a copy of the last commit, one at a time.

    .venv/bin/python scripts/controls.py                     all of them, half an hour; prints a table
    .venv/bin/python scripts/controls.py links "zip: CRC"    those whose names begin so

Exit code 1 when a control can be removed and no test notices. Nothing in the working copy is changed. Not part of `make test`.
"""

# ruff: noqa: E501 -- a table

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAFE = "catalog/eolake/catalog/safe"
ARCHIVES = "tests/attacks/test_archives.py tests/pixels/test_gate_archives.py"
XML = "tests/attacks/test_xml.py tests/pixels/test_gate_documents.py"
RASTERS = "tests/attacks/test_rasters.py tests/pixels/test_gate_rasters.py"
NETCDF = "tests/attacks/test_netcdf.py tests/pixels/test_gate_netcdf.py"
WHOLE = "tests/attacks/test_bounds_of_the_converter.py -k greedy"
BOUNDS = "tests/attacks/test_bounds_of_the_converter.py -k not(greedy)"
MANIFESTS = "tests/integrity/test_manifest.py"
PRODUCTS = "tests/pixels/test_gate_products.py"
FAILED = re.compile(r"^FAILED \S*/([^/]+?\.py::.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Control:
    """One text, and what stands there without the control."""

    name: str
    file: str
    old: str
    new: str
    tests: str


CONTROLS = (
    # names
    Control("names: control characters", f"{SAFE}/names.py", "if CONTROL.search(raw):", 'if "\\n" in raw:', ARCHIVES),
    Control("names: unseen characters", f"{SAFE}/names.py", "if any(unicodedata.category(character) in UNSEEN", "if any(False", ARCHIVES),
    Control("names: absolute paths", f"{SAFE}/names.py", 'if raw.startswith("/") or DRIVE.match(raw):', "if False:", ARCHIVES),
    Control("names: drives", f"{SAFE}/names.py", " or DRIVE.match(raw)", "", ARCHIVES),
    Control("names: parent paths", f"{SAFE}/names.py", 'if ".." in parts:', "if False:", ARCHIVES),
    Control("names: length", f"{SAFE}/names.py", "if len(raw) > self.limits.name_length:", "if False:", ARCHIVES),
    Control("names: length of a part", f"{SAFE}/names.py", 'if any(len(part.encode("utf-8", "surrogateescape")) > COMP', "if any(1 > COMP", ARCHIVES),
    Control("names: depth", f"{SAFE}/names.py", "if len(parts) > self.limits.depth:", "if False:", ARCHIVES),
    Control("names: twice", f"{SAFE}/names.py", "if key in self.files or key in self.folders:", "if False:", ARCHIVES),
    Control("names: other forms of one name", f"{SAFE}/names.py", 'unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())', "name.casefold()", ARCHIVES),
    Control("names: dots at the end", f"{SAFE}/names.py", 'part.rstrip(". ")', "part", ARCHIVES),
    Control("names: file as folder", f"{SAFE}/names.py", "if folder in self.files:", "if False:", ARCHIVES),
    Control("names: number of members", f"{SAFE}/names.py", "if self.count > self.limits.members:", "if False:", ARCHIVES),
    Control("names: expected ones", f"{SAFE}/names.py", "if self.expected is not None and not self.expected(name):", "if False:", ARCHIVES),
    # tar
    Control("tar: links and devices", f"{SAFE}/archives.py", "if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:", "if False:", ARCHIVES),
    Control("tar: sizes", f"{SAFE}/archives.py", "if not 0 <= size <= names.limits.member_bytes:", "if False:", ARCHIVES),
    Control("tar: sizes in digits", f"{SAFE}/archives.py", 'if PAX_SIZE.fullmatch(extended["size"]) else -1', "", ARCHIVES),
    Control("tar: sparse files", f"{SAFE}/archives.py", 'if any(key.startswith("GNU.sparse") for key in extended):', "if False:", ARCHIVES),
    Control("tar: global headers", f"{SAFE}/archives.py", 'if records.keys() & {"path", "size", "linkpath"}:', "if False:", ARCHIVES),
    Control("tar: size of headers", f"{SAFE}/archives.py", "if not 0 <= member.size <= names.limits.header_bytes:", "if False:", ARCHIVES),
    Control("tar: number of headers", f"{SAFE}/archives.py", "    names.header()\n", "", ARCHIVES),
    Control("tar: whole to the end", f"{SAFE}/archives.py", "if len(data) < size:", "if False:", ARCHIVES),
    Control("tar: bytes behind the end", f"{SAFE}/archives.py", "    stream.end()\n", "", ARCHIVES),
    Control("both: ratio", f"{SAFE}/archives.py", "if packed is not None and unpacked > limits.ratio_from", "if False and packed", ARCHIVES),
    Control("both: total", f"{SAFE}/archives.py", "if unpacked > limits.total_bytes:", "if False:", ARCHIVES),
    Control("both: mode of files", f"{SAFE}/archives.py", "os.O_CLOEXEC, 0o600)", "os.O_CLOEXEC, 0o777)", ARCHIVES),
    Control("both: never an existing file", f"{SAFE}/archives.py", "os.O_EXCL | os.O_NOFOLLOW", "os.O_TRUNC", ARCHIVES),
    # zip
    Control("zip: links and devices", f"{SAFE}/archives.py", "if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:", "if False:", ARCHIVES),
    Control("zip: folders with bytes", f"{SAFE}/archives.py", "        if member.file_size:\n", "        if False:\n", ARCHIVES),
    Control("zip: encryption", f"{SAFE}/archives.py", "if member.flag_bits & ENCRYPTED:", "if False:", ARCHIVES),
    Control("zip: methods", f"{SAFE}/archives.py", "if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:", "if False:", ARCHIVES),
    Control("zip: overlap", f"{SAFE}/archives.py", "if member.header_offset < end:", "if False:", ARCHIVES),
    Control("zip: overlap with the table", f"{SAFE}/archives.py", "if end > end_of_data:", "if False:", ARCHIVES),
    Control("zip: header agrees", f"{SAFE}/archives.py", "if method != member.compress_type or flags", "if False and flags", ARCHIVES),
    Control("zip: name agrees", f"{SAFE}/archives.py", "if name != member.orig_filename:", "if False:", ARCHIVES),
    Control("zip: no more than promised", f"{SAFE}/archives.py", "if size > member.file_size:", "if False:", ARCHIVES),
    Control("zip: nothing behind the data", f"{SAFE}/archives.py", "if left or unpacker.unused_data:", "if False:", ARCHIVES),
    Control("zip: CRC", f"{SAFE}/archives.py", "if (size, checksum) != (member.file_size, member.CRC):", "if False:", ARCHIVES),
    Control("zip: end marks agree", f"{SAFE}/archives.py", "if any(a not in {b, most} for", "if any(False for", ARCHIVES),
    Control("zip: size of the table", f"{SAFE}/archives.py", "if entries > limits.members or length > limits.directory_bytes:", "if False:", ARCHIVES),
    Control("zip: place of the table", f"{SAFE}/archives.py", "if disks or at + 22 + comment != len(tail) or", "if False and", ARCHIVES),
    Control("zip: number of entries", f"{SAFE}/archives.py", "if at != len(table) or found != self.entries:", "if False:", ARCHIVES),
    Control("zip: place of the wide mark", f"{SAFE}/archives.py", "if not 0 <= where <= locator - 56 or", "if False and", ARCHIVES),
    # documents
    Control("XML: no DTD", f"{SAFE}/documents.py", "forbid_dtd=True, forbid_entities=True, forbid_external=True", "forbid_dtd=False, forbid_entities=False", XML),
    Control("XML: number of nodes", f"{SAFE}/documents.py", 'if max(raw.count(b"<"), raw.count(b"=")) > XML_NODES:', "if False:", XML),
    Control("XML: number of attributes", f"{SAFE}/documents.py", 'max(raw.count(b"<"), raw.count(b"="))', 'raw.count(b"<")', XML),
    Control("documents: size", f"{SAFE}/documents.py", "if len(content) > limit:", "if False:", XML),
    Control("files: no links", f"{SAFE}/documents.py", "os.O_RDONLY | os.O_NOFOLLOW", "os.O_RDONLY", XML),
    Control("files: regular ones", f"{SAFE}/documents.py", "if not stat.S_ISREG(os.fstat(handle).st_mode):", "if False:", XML),
    Control("files: NUL in a name", f"{SAFE}/documents.py", "    except ValueError:\n", "    except ZeroDivisionError:\n", RASTERS),
    Control("directories: links", f"{SAFE}/product.py", "elif entry.is_file(follow_symlinks=False):", "elif entry.is_file():", PRODUCTS),
    Control("directories: number", f"{SAFE}/product.py", "if count > limits.members:", "if False:", PRODUCTS),
    # rasters
    Control("rasters: named driver", f"{SAFE}/raster.py", "rasterio.open(path.absolute(), driver=driver)", "rasterio.open(path.absolute())", RASTERS),
    Control("rasters: real files", f"{SAFE}/raster.py", "    os.close(open_regular(path))", "    _ = path", RASTERS),
    Control("rasters: absolute names", f"{SAFE}/raster.py", "rasterio.open(path.absolute(), ", "rasterio.open(path, ", RASTERS),
    Control("rasters: dimensions", f"{SAFE}/raster.py", "if max(rows, columns) > SIDE or", "if False and", RASTERS),
    Control("rasters: bands", f"{SAFE}/raster.py", " or source.count > BANDS:", ":", RASTERS),
    Control("rasters: bytes of blocks", f"{SAFE}/raster.py", " or block[0] * block[1] * item > BLOCK_BYTES:", ":", RASTERS),
    Control("rasters: memory", f"{SAFE}/raster.py", "except MemoryError as error:", "except ZeroDivisionError as error:", RASTERS),
    Control("rasters: promised shape", f"{SAFE}/raster.py", "if expect_shape is not None and", "if False and", RASTERS),
    Control("rasters: no side-cars", f"{SAFE}/raster.py", "with rasterio.Env(**options):", "with rasterio.Env():", RASTERS),  # two locks: readdir and PAM
    Control("process: drivers switched off", f"{SAFE}/process.py", '"GDAL_SKIP": ",".join(SKIPPED)', '"GDAL_SKIP": ""', RASTERS),
    # NetCDF
    Control("NetCDF: hard links only", f"{SAFE}/netcdf.py", "if not isinstance(link, h5py.HardLink):", "if False:", NETCDF),
    Control("NetCDF: virtual and external", f"{SAFE}/netcdf.py", "if entry.is_virtual or entry.external:", "if False:", NETCDF),
    Control("NetCDF: circles", f"{SAFE}/netcdf.py", "if address in self.groups:", "if False:", NETCDF),
    Control("NetCDF: depth", f"{SAFE}/netcdf.py", "if depth > DEPTH:", "if False:", NETCDF),
    Control("NetCDF: number of entries", f"{SAFE}/netcdf.py", "if self.count > ENTRIES:", "if False:", NETCDF),
    Control("NetCDF: number of attributes", f"{SAFE}/netcdf.py", "if len(place.attrs) > ENTRIES:", "if False:", NETCDF),
    Control("NetCDF: size of attributes", f"{SAFE}/netcdf.py", "if attribute.get_storage_size() > ATTRIBUTE_BYTES or", "if False and", NETCDF),
    Control("NetCDF: number of texts", f"{SAFE}/netcdf.py", " or (text and count > TEXTS):", ":", NETCDF),
    Control("NetCDF: known filters", f"{SAFE}/netcdf.py", "    if strange:\n", "    if False:\n", NETCDF),
    Control("NetCDF: each filter once", f"{SAFE}/netcdf.py", "if len(filters) != len(set(filters)):", "if False:", NETCDF),
    Control("NetCDF: size of chunks", f"{SAFE}/netcdf.py", "if chunk > CHUNK_BYTES or", "if False and", NETCDF),
    Control("NetCDF: size of what is read", f"{SAFE}/netcdf.py", "if size > READ_BYTES:", "if False:", NETCDF),
    Control("NetCDF: memory", f"{SAFE}/netcdf.py", "except MemoryError as error:", "except ZeroDivisionError as error:", NETCDF),
    Control("NetCDF: no plug-ins", f"{SAFE}/process.py", '"HDF5_PLUGIN_PATH": os.devnull,', "", NETCDF),
    Control("classic: within the file", f"{SAFE}/classic.py", "if end > self.size:", "if False:", NETCDF),
    Control("classic: counts", f"{SAFE}/classic.py", "if limit is not None and found > limit:", "if False:", NETCDF),
    Control("classic: header in the file", f"{SAFE}/classic.py", "if len(found) < length:", "if False:", NETCDF),
    Control("classic: dimensions that exist", f"{SAFE}/classic.py", "if any(place >= len(dimensions) or", "if any(False and", NETCDF),
    Control("classic: types", f"{SAFE}/classic.py", "if kind not in TYPES:", "if False:", NETCDF),
    Control("classic: names once", f"{SAFE}/classic.py", "if name in self.names:", "if False:", NETCDF),
    # processes
    Control("process: memory", f"{SAFE}/process.py", "_lower(resource.RLIMIT_DATA, bounds.memory)", "pass", BOUNDS),
    Control("process: file size", f"{SAFE}/process.py", "_lower(resource.RLIMIT_FSIZE, bounds.file)", "pass", BOUNDS),
    Control("process: open files", f"{SAFE}/process.py", "_lower(resource.RLIMIT_NOFILE, bounds.files)", "pass", BOUNDS),
    Control("process: no cores", f"{SAFE}/process.py", "_lower(resource.RLIMIT_CORE, 0)", "pass", BOUNDS),
    Control("process: no privileges", f"{SAFE}/process.py", ".prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)", "", BOUNDS),
    Control("process: processor time", f"{SAFE}/process.py", "resource.setrlimit(resource.RLIMIT_CPU, (end if", "print(0 and (end if", BOUNDS),
    Control("converter: confined", "ingest/eolake/ingest/convert.py", "    safe.confine(bounds)\n", "", WHOLE),
    Control("converter: processor time", "ingest/eolake/ingest/convert.py", "with safe.processor_time(bounds.processor):", "if True:", WHOLE),
    Control("worker: silence", "ingest/eolake/ingest/worker.py", "elif process.silent_for(now) > self.settings.silence:", "elif False:", WHOLE),
    Control("worker: secrets stay", "ingest/eolake/ingest/pool.py", "if name.upper() not in hidden", "", BOUNDS),
    Control("queue: memory is the product's", "ingest/eolake/ingest/conversion.py", "psycopg.InterfaceError, PoolTimeout)", "psycopg.InterfaceError, PoolTimeout, MemoryError)", "tests/worker/test_queue_policy.py"),
    # manifests
    Control("manifest: URLs", f"{SAFE}/manifest.py", "if URL.match(href) or CONTROL", "if CONTROL", MANIFESTS),
    Control("manifest: control characters", f"{SAFE}/manifest.py", "if URL.match(href) or CONTROL.search(name):", "if URL.match(href):", MANIFESTS),
    Control("manifest: absolute paths", f"{SAFE}/manifest.py", 'if name.startswith("/") or ".." in parts', 'if ".." in parts', MANIFESTS),
    Control("manifest: parent paths", f"{SAFE}/manifest.py", ' or ".." in parts or not parts', " or not parts", MANIFESTS),
    Control("manifest: escaped names", f"{SAFE}/manifest.py", 'unquote(href, errors="surrogateescape")', "href", MANIFESTS),
    Control("manifest: size of the document", f"{SAFE}/manifest.py", "if len(entries) > limits.members:", "if False:", MANIFESTS),
    Control("manifest: contradictions", f"{SAFE}/manifest.py", "if len(sizes) > 1 or any(", "if any(False and ", MANIFESTS),
    Control("manifest: missing files", f"{SAFE}/manifest.py", "if not entry.expendable:", "if False:", MANIFESTS),
    Control("manifest: sizes", f"{SAFE}/manifest.py", "if entry.size is not None and size != entry.size:", "if False:", MANIFESTS),
    Control("manifest: digests", f"{SAFE}/manifest.py", "if found[method] != expected:", "if False:", MANIFESTS),
    Control("manifest: unknown methods", f"{SAFE}/manifest.py", "if method is None:", 'if method is None and (method := "md5") is None:', MANIFESTS),
    Control("Sentinel-2: manifest", "ingest/eolake/ingest/sensors/sentinel2/sensor.py", "        if options.checked:\n", "        if False:\n", "tests/integrity/test_products.py -k bit"),
    Control("Landsat: digests", "ingest/eolake/ingest/sensors/landsat/sensor.py", "        if options.checked:\n", "        if False:\n", "tests/integrity/test_products.py -k digests"),
    Control("swaths: manifest", "ingest/eolake/ingest/sensors/swath/sensor.py", "        if options.checked:\n", "        if False:\n", "tests/integrity/test_netcdf_products.py -k bit"),
    Control("only the gate", "ingest/eolake/ingest/messages.py", "import json\n", "import json\nimport zipfile\n", "tests/attacks/test_only_the_gate.py"),
)  # fmt: skip


def main() -> int:
    """Print the table; 1 when some control is not missed."""
    wanted = [control for control in CONTROLS if not sys.argv[1:] or control.name.startswith(tuple(sys.argv[1:]))]
    with tempfile.TemporaryDirectory(prefix="controls-") as folder:
        copy = _copy(Path(folder))
        for tests in sorted({control.tests for control in wanted}):
            failed, seconds = _run(copy, tests)
            print(f"as it is: {tests}: {'; '.join(failed) or 'passes'} ({seconds:.0f} s)", flush=True)
            if failed:
                return 2
        unmissed = [control.name for control in wanted if not _missed(copy, control)]
    print(f"{len(wanted)} controls, {len(unmissed)} of which no test misses: {', '.join(unmissed) or '-'}")
    return 1 if unmissed else 0


def _copy(folder: Path) -> Path:
    """The last commit."""
    pack = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", folder], input=pack, check=True)
    return folder


def _missed(copy: Path, control: Control) -> bool:
    path = copy / control.file
    text = path.read_text("utf-8")
    if text.count(control.old) != 1:
        raise SystemExit(f"{control.name}: {control.old!r} stands {text.count(control.old)} times in {control.file}; mend this list")
    path.write_text(text.replace(control.old, control.new), "utf-8")
    try:
        failed, seconds = _run(copy, control.tests)
    finally:
        path.write_text(text, "utf-8")
    print(f"{control.name:38} {'; '.join(failed) if failed else 'NO TEST FAILS'} ({seconds:.0f} s)", flush=True)
    return bool(failed)


def _run(copy: Path, tests: str) -> tuple[list[str], float]:
    """The first test that fails, or how pytest ended without one."""
    begin = time.monotonic()
    portions = os.pathsep.join(str(copy / portion) for portion in ("catalog", "cube", "ingest", "analysis"))
    samples = os.environ.get("EOLAKE_SAMPLES", str(ROOT.parent / "shared" / "samples"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-x",
        "--timeout=250",
        "--no-header",
        *tests.split(),
    ]
    environment = os.environ | {"PYTHONPATH": portions, "EOLAKE_SAMPLES": samples, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=400)
    except subprocess.TimeoutExpired:
        return ["the tests do not end"], time.monotonic() - begin
    failed = FAILED.findall(done.stdout)
    if not failed and done.returncode:
        failed = [f"pytest ends with {done.returncode}: {done.stdout[-200:]}"]
    return failed, time.monotonic() - begin


if __name__ == "__main__":
    sys.exit(main())
