"""LitServe: worker processes behind FastAPI, batches put together in the worker."""

# No lazy annotations: LitServe reads those of decode_request and encode_response as they stand.
import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import litserve
from fastapi import Body, Response

from benchmarks.peers.foreign.work import Array, Item, open_work, read_setup


class Peer(litserve.LitAPI):
    """The body comes whole, as bytes, which spares it JSON."""

    def setup(self, device: str) -> None:
        setup = read_setup()
        self._work, self._alone = open_work(setup), setup.batch == 1

    def decode_request(
        self, request: Annotated[bytes, Body(media_type="application/octet-stream")], **more: Any
    ) -> Item:
        return self._work.decode(request)

    def batch(self, inputs: Sequence[Item]) -> Sequence[Item]:
        return inputs

    def predict(self, x: Any, **more: Any) -> Any:
        items = [x] if self._alone else list(x)
        answers = list(zip(items, self._work.run(items), strict=True))
        return answers[0] if self._alone else answers

    def unbatch(self, output: list[tuple[Item, Array]]) -> list[tuple[Item, Array]]:
        return output

    def encode_response(self, output: tuple[Item, Array], **more: Any) -> Response:
        return Response(self._work.encode(*output), media_type=self._work.content_type)


def main() -> None:
    setup = read_setup()
    api = Peer(max_batch_size=setup.batch, batch_timeout=setup.delay_seconds if setup.batch > 1 else 0.0)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=setup.workers, timeout=60, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=setup.port,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )


if __name__ == "__main__":
    # uvloop is uvicorn's choice where it is installed; asyncio's own policy is left alone.
    asyncio.set_event_loop_policy(None)
    main()
