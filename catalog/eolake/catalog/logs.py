"""How log lines look: text for people on a terminal, one JSON object a line for whatever collects them elsewhere."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import UTC, datetime
from typing import TextIO, override

FIELDS = ("granule", "provider", "feed", "collection", "credential", "host", "run")
"""What `extra=` may add to a line."""


def formatter(stream: TextIO) -> logging.Formatter:
    """The one that fits; EOLAKE_LOG=text or json decides, else whether the stream is a terminal."""
    wanted = os.environ.get("EOLAKE_LOG", "").lower()
    if wanted == "json" or (wanted != "text" and not stream.isatty()):
        return JsonFormatter()
    text = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    text.converter = time.gmtime
    return text


class JsonFormatter(logging.Formatter):
    """time, level, logger, message; FIELDS that the line has; exception, where there was one."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC)
        document: dict[str, object] = {
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)
