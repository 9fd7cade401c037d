"""S3 operations; one file per sub-resource."""
