"""SQL lives in `.sql` files: this loads the named queries of one file.

-- name: claim
-- One line that says what it does.
select …;
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load_queries(package: str, file: str) -> Mapping[str, LiteralString]:
    """Queries by name from `<package>/<file>.sql`.

    The text comes from the package itself and never from outside, hence LiteralString."""
    text = files(package).joinpath(f"{file}.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)}
