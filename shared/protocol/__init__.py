"""S3 as pure functions: no database, no disk."""
