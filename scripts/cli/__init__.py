"""The `maxiofs` command."""
