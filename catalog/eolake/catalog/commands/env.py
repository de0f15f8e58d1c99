"""`eolake env`"""

from __future__ import annotations

import shlex

import click

from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.settings import PRIVATE_DATABASE


@click.command()
@pass_invocation
def env(call: Invocation) -> None:
    r"""Print `export` lines for datacube, psql, GDAL and other tools.

    \b
    eval "$(eolake env)"
    """
    from eolake.catalog.store import store_environment

    lake = call.lake()
    database = lake.database
    variables = {
        "EOLAKE_CONFIG": str(call.config_file()),
        **({PRIVATE_DATABASE: f"{database.host}:{database.port}"} if lake.settings.private_cluster else {}),
        **database.environment(),
        # The environment that datacube.Datacube() takes when none is named, and its driver.
        "ODC_ENVIRONMENT": "default",
        "ODC_DEFAULT_DB_URL": database.url("postgresql+psycopg"),
        "ODC_DEFAULT_INDEX_DRIVER": "postgis",
        **store_environment(lake.store_config),
    }
    call.emit(variables, "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
