"""The gateway: REST and gRPC in front, the three stages behind."""
