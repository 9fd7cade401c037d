"""Names, versions, people and runs: everything that is true about bytes, and none of the bytes."""
