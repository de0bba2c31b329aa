"""When an adapter that could not be loaded is tried again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from openoutcry.core.errors import ModelRefused
from openoutcry.serving.registry.artifact import Made, Registered, register
from openoutcry.serving.running.registered import Offer
from openoutcry.serving.running.swapping import Adapters, Times
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Reply, Transport

TIMES = Times(patience=60, load=60, pause=5, longest=60, keep=0)
SERVED = Served.model_validate({"name": "m", "weights": "w", "spare_adapters": 1})


class Refuses(Transport):
    """A server that loads nothing; *meanwhile* is called while it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked = 0

    async def get(self, url: str, path: str, seconds: float) -> Reply:
        return Reply(200, b'{"data": []}')

    async def post(self, url: str, path: str, body: bytes, seconds: float) -> Reply:
        self.asked += 1
        self.meanwhile()
        raise ModelRefused("its tensors are torn")


def adapter(home: Path) -> Registered:
    folder = home / "made"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (folder / "adapter_model.safetensors").write_text("one")
    made = Made(kind="adapter", role="risk", base="b", base_name="m")
    return register(home, folder, made, datetime(2026, 1, 2, tzinfo=UTC))


async def test_to_be_tried_at_once_holds_for_what_fails_a_moment_later(tmp_path: Path) -> None:
    moment, server = [0.0], Refuses()
    tried, offer = Adapters(server, TIMES, lambda: moment[0]), Offer(wanted=(adapter(tmp_path),))

    async def look() -> int:
        async for _ in tried.brought("http://127.0.0.1:9", SERVED, offer):
            pass
        return server.asked

    server.meanwhile = tried.retry
    assert await look() == 1
    server.meanwhile = lambda: None
    assert await look() == 2, "it was asked for while the first was in the air"
    assert await look() == 2, "nobody asked since"
    moment[0] = TIMES.pause + 0.1
    assert await look() == 2, "each pause is twice as long"
    moment[0] = 2 * TIMES.pause
    assert await look() == 3
