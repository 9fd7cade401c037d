"""waitress taught to speak S3: sockets, parsing, bodies, lanes; knows nothing of buckets."""
