"""One HTTP app: STAC API, assets, health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import entry_points, version

from fastapi import APIRouter, FastAPI, HTTPException, Request
from psycopg import OperationalError
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from stac_fastapi.pgstac.app import instantiate_api
from stac_fastapi.pgstac.config import PostgresSettings, Settings
from stac_fastapi.pgstac.db import close_db_connection, connect_to_db
from stac_fastapi.pgstac.models.extensions import Extensions

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import publications
from eolake.catalog.stac.extensions import STAC_VERSION
from eolake.catalog.store import open_store
from eolake.catalog.web import assets, metrics
from eolake.catalog.web.client import ExtentCache, Extents, LakeClient

CONNECTIONS = 8
"""Of each of the two pools: the server allows 80 in all."""
STATEMENT_TIMEOUT = "30s"

health = APIRouter(tags=["health"])


@health.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health.get("/readyz")
def readyz(request: Request) -> dict[str, str]:
    """The database answers; 503 otherwise."""
    try:
        with request.app.state.pool.connection(timeout=5) as connection:
            connection.execute("select 1")
    except (OperationalError, PoolTimeout) as error:
        raise HTTPException(503, "the database does not answer") from error
    return {"status": "ready"}


def create_app(lake: Lake, *, root_path: str = "") -> FastAPI:
    """The app of a lake; `root_path` is the prefix that a proxy in front of it takes away.

    Sub-apps of other portions come in through the entry points `eolake.routes` (`module:router`)."""
    settings = Settings(
        prefix_path="/stac",
        root_path=root_path,
        openapi_url="/stac/api",
        docs_url="/stac/api.html",
        stac_fastapi_title=lake.settings.lake.name,
        stac_fastapi_description=f"The Earth observation data of {lake.settings.lake.name}: Cloud-Optimized GeoTIFFs of whole scenes.",
        stac_fastapi_landing_id=lake.settings.lake.name,
        stac_fastapi_version=version("eolake"),
        enabled_extensions=None,
        use_api_hydrate=True,  # items are completed from their collection here: a third of the time that PostgreSQL takes for it
    )
    client = partial(  # type: ignore[call-arg]  # attributes of a base without types
        LakeClient,
        landing_page_id=settings.stac_fastapi_landing_id,
        title=settings.stac_fastapi_title,
        description=settings.stac_fastapi_description,
    )
    api = instantiate_api(client=client, extensions=Extensions(settings=settings), lifespan=_lifespan(lake), settings=settings)
    api.client.stac_version = STAC_VERSION  # stac-fastapi would say 1.0.0
    app: FastAPI = api.app
    app.state.lake = lake
    app.include_router(health)
    app.include_router(metrics.router)
    app.include_router(assets.router)
    for entry in entry_points(group="eolake.routes"):
        app.include_router(entry.load())
    return app


def _lifespan(lake: Lake):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the type is FastAPI's
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = lake.database
        options = f"-c statement_timeout={STATEMENT_TIMEOUT} -c TimeZone=UTC -c search_path=pgstac,public"
        kwargs = {"autocommit": True, "row_factory": dict_row, "options": options, "application_name": "eolake web"}
        postgres = PostgresSettings(
            pghost=database.host,
            pgport=database.port,
            pguser=database.user,
            pgdatabase=database.name,
            pgpassword=database.password.get_secret_value(),
            db_max_conn_size=CONNECTIONS,
        )
        with ConnectionPool(database.url(), min_size=0, max_size=CONNECTIONS, kwargs=kwargs, open=True) as pool:
            app.state.pool = pool
            app.state.store = open_store(lake.store_config)
            app.state.store_url = lake.store_config.url
            app.state.extents = ExtentCache(read=lambda: _extents(pool))
            await connect_to_db(app, postgres_settings=postgres)
            yield
            await close_db_connection(app)

    return lifespan


def _extents(pool: ConnectionPool) -> Extents:
    with pool.connection() as connection:
        return publications.extents(connection)  # type: ignore[arg-type]  # its rows are dictionaries
