"""`trireme loadtest`: requests at a running platform, closed or open loop, and what came of them."""
