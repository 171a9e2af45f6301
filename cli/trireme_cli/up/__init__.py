"""`trireme up`: the four services and a Redis as processes of this machine, watched over."""
