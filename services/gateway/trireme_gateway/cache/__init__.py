"""Results asked for before: in process, in Redis, or being computed right now."""
