"""What functions and workflows both need; imports nothing above it."""
