"""`eolake serve`"""

from __future__ import annotations

import click

from eolake.catalog.invocation import Invocation, pass_invocation


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--root-path", default="", help="Prefix that a proxy in front takes away, such as /lake.")
@pass_invocation
def serve(call: Invocation, host: str, port: int, root_path: str) -> None:
    """Run the HTTP app alone.

    The database must run and be of this version: `eolake up` sees to both on one machine.
    """
    import uvicorn

    from eolake.catalog.web.app import create_app

    level = "info" if call.verbose else "warning"
    app = create_app(call.lake(), root_path=root_path)
    uvicorn.run(app, host=host, port=port, log_level=level, access_log=bool(call.verbose), timeout_graceful_shutdown=5)
