"""What a client can ask for: one decorated function per operation."""
