"""RestoreObject, which has nothing to restore, and GetObjectTorrent, which is declined."""

from tests.s3.asking import read, refused


def test_what_is_not_archived_cannot_be_restored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    with refused("InvalidObjectState", status=403) as told:
        s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1})
    assert told.error["StorageClass"] == "STANDARD"
    assert read(s3, bucket, "k") == b"data"


def test_what_is_not_there(s3, versioned):
    with refused("NoSuchKey", status=404):
        s3.restore_object(Bucket=versioned, Key="k", RestoreRequest={"Days": 1})
    with refused("NoSuchVersion", status=404):
        s3.restore_object(Bucket=versioned, Key="k", VersionId="0" * 32, RestoreRequest={"Days": 1})
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("MethodNotAllowed", status=405):
        s3.restore_object(Bucket=versioned, Key="k", VersionId=marker, RestoreRequest={"Days": 1})


def test_a_torrent_is_declined_and_never_the_object(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    answer = raw("GET", f"/{bucket}/k?torrent")
    assert (answer.status, answer.code) == (501, "NotImplemented") and b"data" not in answer.body
