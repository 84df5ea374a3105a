"""Keeps a login of our own from expiring: asks for the next one, as itself, when four fifths of its time are over."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from vibespace.engine.cluster import Cluster
from vibespace.engine.kubeapi import Api
from vibespace.engine.paths import Paths
from vibespace.errors import Error

SHARE = 0.8
"""Of a login's time, after which there is to be another."""
PATIENCE = 60.0
"""Seconds until it is tried again."""
LONGEST = 24 * 3600.0
"""Seconds that are slept at once: clocks are set."""

_log = logging.getLogger(__name__)


async def keep(api: Api, kubeconfig: Path, cluster: Cluster, store: Callable[[str], None]) -> None:
    """Until cancelled. `store` has the file be what it is given; it may wait for the disk."""
    while cluster.account:
        try:
            left = await _see_to(api, kubeconfig, cluster, store)
        except Error as e:
            _log.warning("the login was not renewed: %s", e.message)
            left = PATIENCE
        except Exception:  # whatever it is, an end here would be heard of weeks later, when the login has expired
            _log.exception("the login was not renewed")
            left = PATIENCE
        await asyncio.sleep(min(left, LONGEST))


async def _see_to(api: Api, kubeconfig: Path, cluster: Cluster, store: Callable[[str], None]) -> float:
    """Seconds until it is to be seen to again; zero where another login has just come."""
    told = json.loads(await asyncio.to_thread(kubeconfig.read_text))
    user = told["users"][0]["user"]
    begin, end = lifetime(user["token"])
    if (left := begin + SHARE * (end - begin) - time.time()) > 0:
        return left
    user["token"] = await request(api, cluster, round(end - begin))
    await asyncio.to_thread(store, json.dumps(told, indent=1) + "\n")
    api.forget_login()
    return 0


async def request(api: Api, cluster: Cluster, seconds: int) -> str:
    """A new token of the account; the cluster may give it less time. Raises what Api does."""
    path = f"{Paths(cluster.namespace).accounts}/{cluster.account}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    return str((await api.create(path, asked))["status"]["token"])


def lifetime(token: str) -> tuple[float, float]:
    """From when to when it is good, as it says itself: only the cluster can tell whether that is true."""
    payload = token.split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return float(told["iat"]), float(told["exp"])
