"""A process that claims, keeps, fetches nothing, ends somehow and starts over, until it is killed."""

from __future__ import annotations

import random
import sys
import time
from datetime import timedelta
from pathlib import Path

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import open_lake
from eolake.catalog.ledger import slots, transfers


def main(config: str, owner: str, seed: int) -> None:
    """Says `claimed` whenever it has a connection."""
    chance = random.Random(seed)
    slot = None
    with open_lake(Path(config)).connect(name=owner) as db:
        while True:
            claim = transfers.claim(db, owner=owner, lease=timedelta(seconds=1), providers=["a"], slot=slot)
            if claim is None:
                if slot is not None:
                    slots.free(db, slot)
                slot = None
                time.sleep(0.005)
                continue
            print("claimed", flush=True)
            time.sleep(chance.uniform(0, 0.02))
            try:
                transfers.keep(db, [(claim, 1)], timedelta(seconds=1))
                match chance.randrange(8):
                    case 0:
                        transfers.fail(db, claim, kind="transient", reason="by chance", won=1)
                    case 1:
                        transfers.release(db, claim)
                    case _:
                        transfers.fetched(db, claim, [], machine="m")
            except Fenced:
                slot = None
                continue
            slot = claim.slot
            if chance.random() < 0.5:
                slots.free(db, slot)
                slot = None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
