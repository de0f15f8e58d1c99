"""Log lines: JSON where nobody looks, text on a terminal; bars and counts of what is fetched."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import override

import pytest
from rich.console import Console
from rich.progress import Progress as RichProgress

from eolake.catalog.invocation import Invocation
from eolake.catalog.logs import formatter
from eolake.ingest.fetching.messages import Said
from eolake.ingest.reporting import Bars, Counts


class Terminal(io.StringIO):
    """Says that it is one."""

    @override
    def isatty(self) -> bool:
        return True


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("eolake.test").makeRecord("eolake.test", logging.WARNING, "f.py", 1, message, arguments, None, extra=extra)
    made.created = 1_700_000_000.25
    return made


def test_a_line_is_one_json_object_where_there_is_no_terminal() -> None:
    line = formatter(io.StringIO()).format(record('two\nlines of "%s" ✓', "x", granule="S2A", provider="cdse", other="no"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "WARNING",
        "logger": "eolake.test",
        "message": 'two\nlines of "x" ✓',
        "granule": "S2A",
        "provider": "cdse",
    }


def test_an_exception_goes_along() -> None:
    try:
        int("of the test")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in json.loads(formatter(io.StringIO()).format(made))["exception"]


@pytest.mark.parametrize(
    ("wanted", "stream", "is_json"),
    [
        ("", io.StringIO(), True),
        ("", Terminal(), False),
        ("text", io.StringIO(), False),
        ("json", Terminal(), True),
        ("JSON", Terminal(), True),
    ],
)
def test_a_terminal_gets_text_and_a_variable_decides(
    monkeypatch: pytest.MonkeyPatch, wanted: str, stream: io.StringIO, is_json: bool
) -> None:
    monkeypatch.setenv("EOLAKE_LOG", wanted)
    line = formatter(stream).format(record("hello"))
    if is_json:
        assert json.loads(line)["message"] == "hello"
    else:
        assert line == "2023-11-14T22:13:20Z WARNING eolake.test: hello"


SAID = [
    Said(kind="ready"),
    Said(kind="started", granule_id=1, name="A", bytes=100),
    Said(kind="started", granule_id=2, name="B"),
    Said(kind="bytes", granule_id=1, bytes=40),
    Said(kind="bytes", granule_id=3, bytes=40),
]


def test_each_granule_has_a_bar_as_long_as_it_is_fetched() -> None:
    shown = RichProgress(console=Console(file=io.StringIO()))
    bars = Bars(shown=shown)
    for said in SAID:
        bars(said)
    assert [(task.description, task.total, task.completed) for task in shown.tasks] == [("A", 100, 40), ("B", None, 0)]
    bars(Said(kind="fetched", granule_id=1, bytes=100))
    bars(Said(kind="started", granule_id=2, name="B", bytes=7))
    assert [(task.description, task.total) for task in shown.tasks] == [("B", 7)]
    bars(Said(kind="ended"))
    assert list(shown.tasks) == []


def test_counts_are_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts(call=Invocation(), every=0)
    for said in [*SAID, Said(kind="fetched", granule_id=1), Said(kind="failed", granule_id=2)]:
        counts(said)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "fetching 0; 1 fetched, 1 failed, 0.0 MB received"
    assert len(lines) == 6
    seldom = Counts(call=Invocation(), every=3600)
    for said in SAID:
        seldom(said)
    assert capsys.readouterr().err == ""
