"""restic keeps a backup here and gets it back, checked by itself."""

from __future__ import annotations

from pathlib import Path

from tests.clients.programs import Rclone, program
from tests.clients.test_clients import contents


class Restic(Rclone):
    """restic with its repository in a bucket."""

    name = "restic"

    def restic(self, bucket: str, *words: str | Path) -> str:
        environ = self.environ | {"RESTIC_REPOSITORY": f"s3:{self.server.url}/{bucket}/repository", "RESTIC_PASSWORD": "test"}
        return self.run(program("restic"), "--no-cache", "-o", "s3.bucket-lookup=path", *words, environ=environ)


def test_backup_check_and_restore(server, tmp_path, s3, bucket, new_file):
    home, tree = tmp_path / "home", tmp_path / "tree"
    home.mkdir()
    tree.mkdir()
    client = Restic(server, home)
    for number in range(20):
        new_file(200_000, number, name=f"tree/{number}")
    client.restic(bucket, "init")
    client.restic(bucket, "backup", tree)
    (tree / "3").write_bytes(b"changed")
    client.restic(bucket, "backup", tree)
    client.restic(bucket, "check", "--read-data")
    client.restic(bucket, "restore", "latest", "--target", tmp_path / "back")
    assert contents(tmp_path / "back" / tree.relative_to("/")) == contents(tree)
    client.restic(bucket, "forget", "--keep-last", "1", "--prune")
    client.restic(bucket, "check", "--read-data")
    assert not any(one["Key"].startswith("repository/locks/") for one in s3.list_objects_v2(Bucket=bucket)["Contents"])
