"""What the cluster's events are asked for, and which of them is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.engine import apiserver
from tests.engine.test_pods import LONG_AGO, pod, waiting
from vibespace.engine.kubeapi import Api
from vibespace.engine.podevents import Warnings

SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": LONG_AGO}
OVER = pod(phase="Succeeded")
STUCK = pod(waiting("ContainerCreating"), SCHEDULED, phase="Pending")


def event(reason: str, message: str, at: str) -> dict[str, Any]:
    return {"metadata": {"name": at}, "reason": reason, "message": message, "lastTimestamp": f"2027-01-15T07:59:{at}Z"}


MOUNT, LATER = event("FailedMount", "no such disk.", "01"), event("FailedMount", "still none.", "03")
EVICTED = event("Evicted", "it uses too much.", "02")


@pytest.mark.parametrize(
    ("found", "told", "said"),
    [
        (OVER, [MOUNT, EVICTED, LATER], {"a": "it was ended by the cluster (Evicted): it uses too much"}),
        (OVER, [MOUNT, LATER], {}),
        (OVER, [], {}),
        (STUCK, [LATER, MOUNT], {"a": "still none"}),
        (pod(phase="Failed", reason="Evicted"), [EVICTED], {}),
        (pod(waiting("ContainerCreating"), phase="Pending"), [MOUNT], {}),
    ],
    ids=["over", "over, of another reason", "over, and no event", "stuck", "over, and says why", "comes up"],
)
async def test_about(found: dict[str, Any], told: list[dict[str, Any]], said: dict[str, str], tmp_path: Path) -> None:
    """Of who comes up for long the last warning; of who was ended, and does not say why, the one that ended it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "involvedObject.uid=p,type=Warning"
        return apiserver.listed("1", *told)

    async with apiserver.serving(answer, tmp_path) as kubeconfig:
        api = Api(kubeconfig)
        try:
            assert await Warnings(api, "/api/v1/namespaces/n/events").about([found]) == said
        finally:
            await api.close()
