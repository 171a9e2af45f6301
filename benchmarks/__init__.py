"""`make bench`: the platform beside its peers on one machine, every answer checked."""
