"""One hop: the gateway's side of the streams to the endpoints of a stage."""
