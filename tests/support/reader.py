"""A process that opens foreign bytes as converters do: hardened, confined, one job a line. Reports what came of each.

Run as a program it is that process; `Reader` is its other end.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

MEMORY = 900 << 20
PROCESSOR = 6
TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one file."""

    verdict: str
    """read, bad, unsafe, died, or escaped: an error that is none of ours."""
    message: str
    leaked: bool = False
    """The secret stood in what was read or said."""
    peak: int = 0
    """KiB of resident memory that it took at most, beyond what was taken before."""
    seconds: float = 0.0

    @property
    def refused(self) -> bool:
        return self.verdict in {"bad", "unsafe"}


class Reader:
    """Starts the process, and another one when it died."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.deaths = 0
        self._popen: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._end()

    def read(self, kind: str, path: Path, **more: Any) -> Answer:
        """`kind`: archive, xml, netcdf, or a GDAL driver."""
        if self._popen is None:
            command = [sys.executable, __file__]
            self._popen = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=TESTS
            )
        popen = self._popen
        assert popen.stdin is not None
        assert popen.stdout is not None
        popen.stdin.write(json.dumps({"kind": kind, "path": str(path), "secret": self.secret, **more}) + "\n")
        popen.stdin.flush()
        begin = time.monotonic()
        line = popen.stdout.readline()
        if line:
            return Answer(**json.loads(line), seconds=time.monotonic() - begin)
        self.deaths += 1
        status = self._end()
        return Answer(verdict="died", message=signal.Signals(-status).name if status < 0 else str(status), seconds=time.monotonic() - begin)

    def _end(self) -> int:
        popen, self._popen = self._popen, None
        assert popen is not None
        for pipe in (popen.stdin, popen.stdout):
            assert pipe is not None
            pipe.close()
        return popen.wait()


def _main() -> None:
    from eolake.catalog import safe

    safe.harden()
    safe.confine(safe.Bounds(memory=MEMORY, processor=PROCESSOR))
    for line in sys.stdin:
        job = json.loads(line)
        with safe.processor_time(PROCESSOR):
            answer = _answer(job)
        print(json.dumps(answer), flush=True)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    from support import memory

    from eolake.catalog.errors import BadProduct, UnsafeProduct

    memory.reset()
    before, seen, message = memory.peak(), b"", ""
    try:
        seen = _seen(job)
        verdict = "read"
    except UnsafeProduct as error:
        verdict, message = "unsafe", str(error)
    except BadProduct as error:
        verdict, message = "bad", str(error)
    except BaseException as error:  # noqa: BLE001 - what else comes out is what is looked for
        verdict, message = "escaped", f"{type(error).__name__}: {error}"
    secret = job["secret"]
    return {"verdict": verdict, "message": message, "leaked": secret.encode() in seen or secret in message, "peak": memory.peak() - before}


def _seen(job: dict[str, Any]) -> bytes:
    """All that the gate lets through."""
    from eolake.catalog import safe
    from eolake.catalog.safe.netcdf import open_netcdf

    path = Path(job["path"])
    if job["kind"] == "archive":
        product = safe.open_product(path, Path(job["workspace"]), wanted=re.compile(""), expected=_pattern(job))
        return b"".join(file.read_bytes()[: 1 << 20] for file in product.files.values())
    if job["kind"] == "xml":
        root = safe.parse_xml(path)
        return " ".join([root.tag, *(element.text or "" for element in root.iter())]).encode()
    if job["kind"] == "netcdf":
        with open_netcdf(path) as file:
            parts = [repr(dict(file.attributes)).encode()]
            for variable in file.variables.values():
                parts += [repr(dict(variable.attributes)).encode(), variable.read().tobytes()[: 1 << 20]]
            return b"".join(parts)
    pixels = safe.read_raster(path, driver=job["kind"], expect_shape=tuple(job["shape"]) if job.get("shape") else None)
    return pixels.data.tobytes()[: 4 << 20]


def _pattern(job: dict[str, Any]) -> re.Pattern[str] | None:
    return re.compile(job["expected"], re.IGNORECASE) if job.get("expected") else None


if __name__ == "__main__":
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY
    sys.path.insert(0, str(TESTS))
    _main()
