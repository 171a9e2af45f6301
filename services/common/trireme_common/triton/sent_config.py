"""The configuration that a load request brings along: JSON, to become a config.pbtxt."""

from __future__ import annotations

from google.protobuf import json_format, text_format

from trireme_common.errors import SpecError
from trireme_common.triton.pbtxt import MAX_BYTES
from trireme_protos.inference.model_config_pb2 import ModelConfig


def to_pbtxt(model: str, config: str) -> bytes:
    """`config` is Triton's ModelConfig in its JSON form; without a name it is that of `model`.

    Raises SpecError for anything else, and for one of another model.
    """
    message = ModelConfig()
    if not config.lstrip().startswith("{"):
        raise SpecError("'config' is no model configuration: a JSON object is expected")
    try:
        json_format.Parse(config, message)
    except (json_format.ParseError, RecursionError, ValueError) as error:
        raise SpecError(f"'config' is no model configuration: {str(error)[:240]}") from error
    message.name = message.name or model
    if message.name != model:
        raise SpecError(f"'config' is of model '{message.name[:80]}', not of '{model}'")
    text = text_format.MessageToString(message, as_utf8=True).encode()
    if len(text) > MAX_BYTES:
        raise SpecError(f"'config' takes more than {MAX_BYTES} bytes")
    return text
