"""stac-api-validator against the served API, without a network; and pages that no client can make too large.

On a catalog of 10,000 items the validator seemed to hang in item-search: it asks for pages of 10,000, 100,000 and 1,000,000 items, sets no
deadline, and prints its findings at the end only. stac-fastapi by itself gives 10,000 of them: 200 MB, for minutes, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from psycopg.types.json import Jsonb
from support.scenes import COLLECTION, NAME, WHEN, claim, draft
from support.serving import served

from eolake.catalog.lake import Lake
from eolake.catalog.web.client import LARGEST_PAGE
from eolake.cube.publish import publish
from eolake.cube.session import Session

VALIDATOR = Path(__file__).parents[1] / "support" / "offline_validator.py"
AROUND = {"type": "Polygon", "coordinates": [[[140, -40], [150, -40], [150, -30], [140, -30], [140, -40]]]}
TINY = "test_tiny"
ADVICE = (
    "Links in catalogs and collections should always have a 'title' field",
    "Identifiers should consist of only lowercase characters",  # an item's id is its product's name
    "properties. Please consider using links to avoid bloated metadata",
    "to validate ids does not override all other parameters returned 0 results",  # there is nothing at 20° E, 20° N
)
"""Its recommendations that we do not follow, or can not."""


@pytest.fixture(scope="module")
def url(fresh_lake: Callable[[Path], AbstractContextManager[Lake]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of three scenes, and of a collection with one item more than a page holds."""
    with fresh_lake(tmp_path_factory.mktemp("validated")) as lake:
        with Session(lake=lake) as session:
            for n in range(3):
                publish(session, [draft(f"{NAME}_{n}", seed=n, when=WHEN + timedelta(days=n))], claim(session, f"{n}"))
            _many(session)
        with served(lake) as url:
            yield url


def _many(session: Session) -> None:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}}
    collection = {"type": "Collection", "stac_version": "1.1.0", "id": TINY, "description": "Tiny items", "license": "other", "links": []}
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "collection": TINY,
        "geometry": {"type": "Point", "coordinates": [10, 50]},
        "bbox": [10, 50, 10, 50],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "assets": {},
        "links": [],
    }
    cursor = session.connection
    cursor.execute("select pgstac.create_collection(%s)", [Jsonb({**collection, "extent": extent})])
    items = [{**item, "id": f"tiny_{n}"} for n in range(LARGEST_PAGE + 1)]
    cursor.execute("select pgstac.create_items(%s)", [Jsonb(items)])


def test_the_validator_finds_no_error(url: str) -> None:
    arguments = ["--root-url", f"{url}/stac", "--collection", COLLECTION, "--geometry", json.dumps(AROUND), "--validate-pagination"]
    classes = [word for name in ("core", "collections", "features", "item-search") for word in ("--conformance", name)]
    command = [sys.executable, VALIDATOR, *arguments, *classes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    for name in ("Core", "Collections", "Features", "Item Search"):
        assert f"Validating STAC API - {name} conformance class" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Errors: none" in done.stdout
    warnings = [line for line in done.stdout.partition("Warnings:")[2].splitlines() if line.startswith("- ")]
    assert [line for line in warnings if not any(advice in line for advice in ADVICE)] == []
    unasked = [line.removeprefix("not asked: ") for line in done.stderr.splitlines() if line.startswith("not asked: ")]
    assert not [link for link in unasked if link.endswith(".json")], "every schema is at hand"


@pytest.mark.parametrize("limit", [LARGEST_PAGE + 1, 1_000_000])
def test_a_page_is_bounded_and_leads_to_the_next(url: str, limit: int) -> None:
    for page in (
        requests.get(f"{url}/stac/search", {"collections": TINY, "limit": limit}, timeout=60).json(),
        requests.post(f"{url}/stac/search", json={"collections": [TINY], "limit": limit}, timeout=60).json(),
        requests.get(f"{url}/stac/collections/{TINY}/items", {"limit": limit}, timeout=60).json(),
    ):
        assert len(page["features"]) == LARGEST_PAGE
        (following,) = (link for link in page["links"] if link["rel"] == "next")
        last = requests.request(following["method"], following["href"], json=following.get("body"), timeout=60).json()
        assert len(last["features"]) == 1
        assert last["features"][0]["id"] not in {item["id"] for item in page["features"]}
