"""A process with five threads and one login: does what the lines of its standard input say, answers one line each."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3

from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import ProviderConfig

THREADS = 5


def main() -> None:
    url, folder = sys.argv[1:]
    auth = {"kind": "oidc-password", "token_url": f"{url}/token", "session_url": f"{url}/session/{{session}}"}
    config = ProviderConfig(name="p", kind="none", auth=auth, auth_hosts=(url.removeprefix("http://"),))
    login = open_login(config, "env:CANARY", state=Path(folder))
    barrier = threading.Barrier(THREADS)
    pool = urllib3.PoolManager(maxsize=THREADS)

    def headers(_: int) -> str:
        return login.headers(url)["Authorization"]

    def fetch(_: int) -> str:
        barrier.wait()
        stale = login.headers(url)
        if pool.request("GET", f"{url}/data", headers=stale).status == 401:
            login.refresh(stale)
        fresh = login.headers(url)
        assert pool.request("GET", f"{url}/data", headers=fresh).status == 200
        return fresh["Authorization"]

    print(json.dumps(["ready"]), flush=True)
    for line in sys.stdin:
        if line.strip() == "close":
            login.close()
            print("[]", flush=True)
            continue
        with ThreadPoolExecutor(THREADS) as threads:
            answers = list(threads.map({"headers": headers, "fetch": fetch}[line.strip()], range(THREADS)))
        print(json.dumps([answer.removeprefix("Bearer ") for answer in answers]), flush=True)


main()
