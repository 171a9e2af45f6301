"""A module that holds 64 MiB, as a large runtime does once it is imported."""

held = bytearray(b"x") * (64 << 20)
