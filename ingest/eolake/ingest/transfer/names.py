"""Names of files that come from outside: relative, within the product, and such that any disk and store takes them."""

from __future__ import annotations

from eolake.catalog.errors import UnsafeProduct

LONGEST = 255
"""Bytes of one segment, less what we append."""
SUFFIX = len(".part.json#")


def check_name(name: str) -> None:
    """UnsafeProduct unless the name is a plain relative path."""
    segments = name.split("/")
    if not name or any(segment in {"", ".", ".."} for segment in segments):
        raise UnsafeProduct(f"a file called {name[:100]!r} would lie outside its product")
    if not name.isprintable() or "\\" in name or "#" in name or name.endswith((":", "|")):
        raise UnsafeProduct(f"a file called {name[:100]!r}: its name has characters that no store takes")
    if any(len(segment.encode("utf-8", "surrogatepass")) > LONGEST - SUFFIX for segment in segments):
        raise UnsafeProduct(f"a file called {name[:60]!r}…: its name is longer than {LONGEST - SUFFIX} bytes")
