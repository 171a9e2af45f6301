"""`python -m trireme_postprocess`: the postprocess service."""

import sys

from trireme_common.process import run_service
from trireme_postprocess.bootstrap import serve
from trireme_postprocess.settings import PostprocessSettings

if __name__ == "__main__":
    sys.exit(run_service("postprocess", PostprocessSettings, serve))
