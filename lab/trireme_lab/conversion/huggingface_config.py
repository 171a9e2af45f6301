"""What a Hugging Face directory says of its model, in the few fields that an export reads."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, PositiveInt, ValidationError

from trireme_lab.failure import LabFailure

CLASSIFIER = "ForSequenceClassification"
_Read = TypeVar("_Read", bound=BaseModel)


class Config(BaseModel):
    """config.json. A field that is missing or null has its default."""

    architectures: list[str] | None = None
    vocab_size: PositiveInt | None = None
    max_position_embeddings: PositiveInt | None = None
    id2label: dict[int, str | int | float | bool] | None = None
    num_labels: PositiveInt | None = None

    @property
    def classifies(self) -> bool:
        """Whether the weights are those of a text classifier."""
        return any(name.endswith(CLASSIFIER) for name in self.architectures or ())

    @property
    def labels(self) -> list[str]:
        """Names of the classes in order, made up where it names none."""
        if self.id2label:
            return [str(label) for _, label in sorted(self.id2label.items())]
        return [f"LABEL_{at}" for at in range(self.num_labels or 2)]


class Pooling(BaseModel):
    """1_Pooling/config.json of sentence-transformers."""

    pooling_mode: str | None = None
    pooling_mode_cls_token: bool | None = None

    @property
    def first_token(self) -> bool:
        """Whether a text's vector is that of its first token, not the mean."""
        return bool(self.pooling_mode_cls_token) or self.pooling_mode == "cls"


def read_config(path: Path) -> Config:
    """config.json of the directory `path`. Raises LabFailure."""
    return _read(path / "config.json", Config)


def read_pooling(path: Path) -> Pooling:
    """The pooling that the directory `path` asks for, the mean where it says nothing. Raises LabFailure."""
    return _read(path / "1_Pooling" / "config.json", Pooling) if (path / "1_Pooling").is_dir() else Pooling()


def _read(path: Path, kind: type[_Read]) -> _Read:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise LabFailure(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LabFailure(f"{path}: {where + ': ' if where else ''}{first['msg']}") from error
