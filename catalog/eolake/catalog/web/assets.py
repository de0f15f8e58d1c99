"""`/assets/{collection}/{item}/{asset}`: ranges of a file in a folder store, a short-lived signed URL of an object on S3."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from eolake.catalog.ledger import publications
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import bucket_of, media_type, s3_client

SIGNED_FOR = 15 * 60
"""Seconds"""

router = APIRouter(tags=["assets"])


@router.api_route("/assets/{collection}/{item}/{asset}", methods=["GET", "HEAD"], response_class=FileResponse, name="asset")
def asset(collection: str, item: str, asset: str, request: Request) -> Response:
    """The bytes of a published asset; 404 when nothing live has it, 410 when it was withdrawn."""
    state = request.app.state
    with state.pool.connection() as connection:
        found = publications.find_object(connection, collection, item, asset)
    if found is None:
        raise HTTPException(404, f"no asset {asset!r} of {collection}/{item} is published here")
    if found["state"] not in {"live", "superseded"}:
        raise HTTPException(410, f"{collection}/{item} was withdrawn")
    key = found["key"]
    if state.store.config.folder is None:
        return RedirectResponse(_signed_url(state.store.config, key), status_code=307)
    path = state.store.config.folder / key
    if not path.is_file():
        raise HTTPException(404, f"{key} is missing in the store; `eolake check` lists what else is")
    return FileResponse(path, media_type=media_type(key), filename=path.name, content_disposition_type="inline")


def _signed_url(config: StoreConfig, key: str) -> str:
    bucket, prefix = bucket_of(config)
    where = {"Bucket": bucket, "Key": f"{prefix}/{key}" if prefix else key}
    return str(s3_client(config).generate_presigned_url("get_object", Params=where, ExpiresIn=SIGNED_FOR))
