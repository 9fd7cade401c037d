"""The benchmark behind ./scripts/bench: drives S3 servers with fast real clients, measures ceilings, and checks the targets."""
