"""Steps that turn one raw item (text, picture bytes, numbers) into named tensors.

`VOCABULARY` is all that model.yaml may name under `preprocess`. Steps are pure: they know neither
gRPC nor batches; the service stacks what the items of a request give along a new first axis.
"""

from trireme_common.steps import Vocabulary
from trireme_preprocess.steps.decoding import DecodeImage
from trireme_preprocess.steps.image import (
    CenterCrop,
    CropToContent,
    LightOnDark,
    Pad,
    Resize,
    StretchContrast,
)
from trireme_preprocess.steps.ngrams import CharNgrams
from trireme_preprocess.steps.numbers import Clip, Standardize
from trireme_preprocess.steps.tensors import ToTensor
from trireme_preprocess.steps.text import NormalizeText
from trireme_preprocess.steps.tokens import Tokenize

VOCABULARY = Vocabulary(
    "preprocess",
    (
        NormalizeText,
        CharNgrams,
        Tokenize,
        DecodeImage,
        LightOnDark,
        StretchContrast,
        CropToContent,
        CenterCrop,
        Resize,
        Pad,
        Clip,
        Standardize,
        ToTensor,
    ),
)

__all__ = ["VOCABULARY"]
