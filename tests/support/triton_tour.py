"""Triton's own client against the extensions of a gateway that allows shared memory and has a collector.

`python -m tests.support.triton_tour URL http|grpc`, in a process of its own, because the generated messages
of the client and of the platform do not bear each other. Says `toured` where all went well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

LOG_SETTINGS = {"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"}


def refused(said: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """`call` fails and says so."""
    try:
        call(*arguments, **named)
    except InferenceServerException as error:
        answer = error.message()
    else:
        raise AssertionError(f"not refused: {said}")
    assert said in answer, answer


class Tour:
    """One client of one transport."""

    def __init__(self, url: str, transport: str) -> None:
        self.transport = transport
        self.triton = importlib.import_module(f"tritonclient.{transport}")
        self.client = self.triton.InferenceServerClient(url)

    def log_settings(self) -> None:
        client = self.client
        assert self._log(client.get_log_settings()).keys() == LOG_SETTINGS
        changed = self._log(client.update_log_settings({"log_verbose_level": 2, "log_warning": False}))
        assert (changed["log_verbose_level"], changed["log_warning"], changed["log_info"]) == (2, False, True)
        assert self._log(client.get_log_settings()) == changed
        client.update_log_settings({"log_verbose_level": 0, "log_warning": True})
        refused("log_format", client.update_log_settings, {"log_format": "verse"})
        refused("log file location", client.update_log_settings, {"log_file": "a.log"})

    def trace_settings(self) -> None:
        client = self.client
        everyone = self._trace(client.get_trace_settings())
        assert (everyone["trace_level"], everyone["trace_mode"]) == (["TIMESTAMPS"], ["opentelemetry"])
        own = self._trace(client.update_trace_settings("times", {"trace_level": ["OFF"], "trace_rate": "9"}))
        assert (own["trace_level"], own["trace_rate"]) == (["OFF"], ["9"])
        assert self._trace(client.get_trace_settings("times")) == own
        assert self._trace(client.get_trace_settings()) == everyone
        cleared = client.update_trace_settings("times", {"trace_level": None, "trace_rate": None})
        assert self._trace(cleared) == everyone
        refused("trace_rate", client.update_trace_settings, settings={"trace_rate": "often"})
        refused("nobody", client.get_trace_settings, "nobody")

    def configuration(self) -> None:
        config = self.client.get_model_config("times.inference")
        if self.transport == "http":
            assert config["name"] == "times.inference"
            assert type(config["max_batch_size"]) is int
            assert [tensor["dims"] for tensor in config["input"]] == [[4]]
            assert config["output"][0]["data_type"] == "TYPE_FP32"
        else:
            assert config.config.name == "times.inference"
            assert [list(tensor.dims) for tensor in config.config.input] == [[4]]

    def shared_memory(self) -> None:
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        key = f"/trireme_tour_{self.transport}"
        handle = shm.create_shared_memory_region("tour", key, 3 * x.nbytes)
        try:
            shm.set_shared_memory_region(handle, [x], offset=8)
            self.client.register_system_shared_memory("tour", key, 3 * x.nbytes - 8, offset=8)
            self._bad_registrations(key)
            status = self.client.get_system_shared_memory_status()
            regions = status if self.transport == "http" else status.regions.values()
            assert len(regions) == 1
            self._infer(x, handle)
            self.client.unregister_system_shared_memory("tour")
            refused("Unable to find", self.client.get_system_shared_memory_status, "tour")
        finally:
            self.client.unregister_system_shared_memory()
            shm.destroy_shared_memory_region(handle)

    def _bad_registrations(self, key: str) -> None:
        register = self.client.register_system_shared_memory
        refused("already in manager", register, "tour", key, 8)
        refused("invalid args", register, "large", key, 1 << 20)
        refused("Unable to open", register, "gone", "/trireme_gone", 8)
        refused("invalid shm key", register, "sly", "/../etc/hostname", 8)

    def _infer(self, x: Any, handle: Any) -> None:
        infer = self.client.infer
        lying = self.triton.InferInput("x", [2, 4], "FP32")
        lying.set_shared_memory("tour", x.nbytes)
        output = self.triton.InferRequestedOutput("y")
        output.set_shared_memory("tour", x.nbytes + 8, offset=x.nbytes)
        assert infer("times.inference", [lying], outputs=[output]).get_output("y") is not None
        found = shm.get_contents_as_numpy(handle, np.float32, [2, 4], offset=8 + x.nbytes)
        np.testing.assert_array_equal(found, x * 2)
        np.testing.assert_array_equal(infer("times.inference", [lying]).as_numpy("y"), x * 2)
        output.set_shared_memory("tour", 8)
        refused("should be at least 32 bytes", infer, "times.inference", [lying], outputs=[output])
        lying.set_shared_memory("nobody", x.nbytes)
        refused("Unable to find shared memory region: 'nobody'", infer, "times.inference", [lying])

    def cuda_shared_memory(self) -> None:
        refused("not supported", self.client.register_cuda_shared_memory, "c", b"AAAA", 0, 8)
        status = self.client.get_cuda_shared_memory_status()
        assert not (status if self.transport == "http" else status.regions)
        self.client.unregister_cuda_shared_memory()

    def repository(self) -> None:
        self.client.load_model("times")
        self.client.unload_model("other", unload_dependents=True)
        assert not self.client.is_model_ready("other")
        self.client.load_model("other")
        refused("nobody", self.client.load_model, "nobody")
        refused("version 1", self.client.load_model, "broken")

    def _trace(self, answer: Any) -> dict[str, list[str]]:
        if self.transport == "http":
            return {name: value if isinstance(value, list) else [value] for name, value in answer.items()}
        return {name: list(found.value) for name, found in answer.settings.items()}

    def _log(self, answer: Any) -> dict[str, Any]:
        if self.transport == "http":
            return dict(answer)
        settings = answer.settings.items()
        return {name: getattr(found, found.WhichOneof("parameter_choice")) for name, found in settings}


def main() -> None:
    tour = Tour(*sys.argv[1:])
    tour.log_settings()
    tour.trace_settings()
    tour.configuration()
    tour.shared_memory()
    tour.cuda_shared_memory()
    tour.repository()
    print("toured")


if __name__ == "__main__":
    main()
