"""A module whose first import ends the process or hangs, as a file in TRIREME_TEST_LATE says, which
it takes away; a later one says which process imported it."""

import os
import time
from pathlib import Path

_folder = Path(os.environ["TRIREME_TEST_LATE"])
if (_folder / "dies").exists():
    (_folder / "dies").unlink()
    os._exit(1)
if (_folder / "hangs").exists():
    (_folder / "hangs").unlink()
    time.sleep(600)
(_folder / "imported").write_text(str(os.getpid()))
