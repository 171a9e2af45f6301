"""Entry point: `python -m trireme_inference`."""

import sys

from trireme_common.process import run_service
from trireme_inference.bootstrap import serve
from trireme_inference.settings import InferenceSettings

if __name__ == "__main__":
    sys.exit(run_service("inference", InferenceSettings, serve))
