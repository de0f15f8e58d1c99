"""`python -m eolake.catalog` is the command `eolake`: how the local stack starts its own processes."""

from __future__ import annotations

from eolake.catalog.cli import main

if __name__ == "__main__":
    main()
