"""Lets `python -m scripts.cli` be the `maxiofs` command."""

from scripts.cli.main import main

main()
