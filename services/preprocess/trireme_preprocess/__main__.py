"""`python -m trireme_preprocess`: the preprocess service."""

import sys

from trireme_common.process import run_service
from trireme_preprocess.bootstrap import serve
from trireme_preprocess.settings import PreprocessSettings

if __name__ == "__main__":
    sys.exit(run_service("preprocess", PreprocessSettings, serve))
