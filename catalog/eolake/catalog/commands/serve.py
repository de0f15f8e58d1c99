"""`eolake serve`"""

from __future__ import annotations

import time

import click

from eolake.catalog.errors import Unreachable
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import outstanding


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--root-path", default="", help="Prefix that a proxy in front takes away, such as /lake.")
@click.option("--wait", type=click.FloatRange(0), default=0, metavar="SECONDS", help="Give a migration that runs that long to end.")
@pass_invocation
def serve(call: Invocation, host: str, port: int, root_path: str, wait: float) -> None:
    """Run the HTTP app alone.

    The database must run and be of this version: `eolake up` sees to both on one machine.
    """
    import uvicorn

    from eolake.catalog.web.app import create_app

    lake = call.lake()
    app = create_app(lake, root_path=root_path)
    _await_schema(lake, wait)
    level = "info" if call.verbose else "warning"
    uvicorn.run(app, host=host, port=port, log_level=level, access_log=bool(call.verbose), timeout_graceful_shutdown=5)


def _await_schema(lake: Lake, patience: float) -> None:
    """Return when the database is of our version; Unreachable when it is not within `patience` seconds."""
    deadline = time.monotonic() + patience
    while missing := outstanding(lake):
        if time.monotonic() >= deadline:
            raise Unreachable(f"the database lacks {', '.join(missing)}; run `eolake up --detach`")
        time.sleep(0.1)
