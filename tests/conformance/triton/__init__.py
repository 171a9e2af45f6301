"""Cases of Triton's clients: http, grpc, and both aio forms."""

from tests.conformance.triton.bodies import BODIES
from tests.conformance.triton.client import open_client
from tests.conformance.triton.futures import FUTURES
from tests.conformance.triton.infer import INFER
from tests.conformance.triton.memory import MEMORY
from tests.conformance.triton.orders import ORDERS
from tests.conformance.triton.refusals import REFUSALS
from tests.conformance.triton.server import SERVER
from tests.conformance.triton.settings import SETTINGS
from tests.conformance.triton.streams import STREAMS

BOOK = SERVER + INFER + REFUSALS + FUTURES + STREAMS + BODIES + MEMORY + SETTINGS + ORDERS

__all__ = ["BOOK", "open_client"]
