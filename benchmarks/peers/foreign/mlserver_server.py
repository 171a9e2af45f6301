"""MLServer: one model with adaptive batching, over the REST form of the v2 protocol.

An item travels as one BYTES element, in base64 where it is tensors: as a numeric tensor MLServer would turn
every number into a Python object, over REST and gRPC alike.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from benchmarks.peers.foreign.work import TensorWork, TextWork, open_work, read_setup


class Peer(MLModel):
    """Input `body` BYTES [n, 1]; output `scores` FP32 [n, k], or `label` BYTES [n, 1] and `probabilities`."""

    async def load(self) -> bool:
        self._work = open_work(read_setup())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        work, bodies = self._work, list(payload.inputs[0].data)
        outputs = _texts(work, bodies) if isinstance(work, TextWork) else _tensors(work, bodies)
        return InferenceResponse(model_name=self.name, outputs=outputs)


def _texts(work: TextWork, bodies: list[str | bytes]) -> list[ResponseOutput]:
    items = [work.item(body if isinstance(body, str) else body.decode()) for body in bodies]
    answers = [work.answer(*each) for each in zip(items, work.run(items), strict=True)]
    labels = [answer["label"] for answer in answers]
    shares = [share for answer in answers for share in answer["probabilities"].values()]
    classes = len(shares) // len(labels)
    return [
        ResponseOutput(name="label", shape=[len(labels), 1], datatype="BYTES", data=labels),
        ResponseOutput(name="probabilities", shape=[len(labels), classes], datatype="FP64", data=shares),
    ]


def _tensors(work: TensorWork, bodies: list[str | bytes]) -> list[ResponseOutput]:
    rows = work.run([work.decode(base64.b64decode(body)) for body in bodies])
    values = [value for row in rows for value in row.tolist()]
    return [ResponseOutput(name="scores", shape=[len(rows), len(rows[0])], datatype="FP32", data=values)]


def main() -> None:
    setup = read_setup()
    with tempfile.TemporaryDirectory(prefix="mlserver-") as directory:
        home = Path(directory)
        (home / "settings.json").write_text(
            json.dumps(
                {
                    "debug": False,
                    "host": "127.0.0.1",
                    "http_port": setup.port,
                    "grpc_port": setup.grpc_port,
                    "metrics_port": setup.metrics_port,
                    "metrics_dir": directory,
                    # One model in the main process costs no queue between processes.
                    "parallel_workers": setup.workers if setup.workers > 1 else 0,
                    "gzip_enabled": False,
                }
            )
        )
        (home / "model-settings.json").write_text(
            json.dumps(
                {
                    "name": setup.name,
                    "implementation": "benchmarks.peers.foreign.mlserver_server.Peer",
                    "max_batch_size": setup.batch if setup.batch > 1 else 0,
                    "max_batch_time": setup.delay_seconds if setup.batch > 1 else 0,
                }
            )
        )
        # The child of this process, because the folder must go when it ends.
        sys.argv = ["mlserver", "start", directory]
        os.chdir(directory)
        from mlserver.cli import main as command

        command()


if __name__ == "__main__":
    main()
