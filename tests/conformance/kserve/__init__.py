"""Cases of the kserve SDK's clients."""
