"""Examine our S3 surface with the functional suite of ceph/s3-tests, from a checkout outside the project. See docs/development.md."""
