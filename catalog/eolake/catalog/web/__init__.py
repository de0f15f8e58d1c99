"""The HTTP edge: the STAC API under /stac, the objects under /assets, health for whoever watches."""

import logging

# stac-fastapi warns at import about a title and a description that we give to each app.
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
