"""Real clients against the real server. What one wrote another reads, so that an error made the same way both ways shows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.clients.programs import PROGRAMS

MIB = 1 << 20
NAMES = list(PROGRAMS)
# Each writes once and reads once, and nobody reads its own writing.
PAIRS = [(writer, NAMES[(number + 1) % len(NAMES)]) for number, writer in enumerate(NAMES)]
ODD = [
    "plain.txt",
    "with space.txt",
    "plus+plus",
    "ümläut/日本語.txt",
    "a&b=c;d.txt",
    "per%cent%20.txt",
    "deep/er/and/deeper.bin",
    "quote'.txt",
    "tilde~(1).txt",
    "#hash",
    "at@colon:",
]


def sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in folder.rglob("*") if file.is_file()}


def carry(client_of, new_file, tmp_path, bucket, writer, reader, size):
    file, got = new_file(size), tmp_path / "got"
    client_of(writer).up(file, bucket, "folder/object")
    client_of(reader).down(bucket, "folder/object", got)
    assert got.stat().st_size == size and sha256(got) == sha256(file)
    got.unlink()


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
@pytest.mark.parametrize("size", [0, 100_000])
def test_what_one_writes_another_reads(client_of, new_file, tmp_path, bucket, writer, reader, size):
    carry(client_of, new_file, tmp_path, bucket, writer, reader, size)


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_64_mib(client_of, new_file, tmp_path, bucket, writer, reader):
    carry(client_of, new_file, tmp_path, bucket, writer, reader, 64 * MIB + 1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_1_gib(client_of, new_file, tmp_path, bucket, writer, reader):
    carry(client_of, new_file, tmp_path, bucket, writer, reader, 1024 * MIB + 1)


@pytest.mark.parametrize("name", NAMES)
def test_list_and_delete_of_odd_names(client_of, new_file, s3, bucket, name):
    client, file = client_of(name), new_file(1000)
    odd = ODD if client.quick else ODD[2:4]  # mirroring below has them all
    for key in odd:
        client.up(file, bucket, key)
    stored = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert stored == sorted(odd, key=str.encode)
    assert sorted(client.keys(bucket)) == sorted(odd)
    for key in odd:
        client.delete(bucket, key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("name", NAMES)
def test_names_written_by_boto3_are_read(client_of, tmp_path, s3, bucket, name):
    client = client_of(name)
    for key in ODD:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ODD if client.quick else ODD[1:4]:
        client.down(bucket, key, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == key.encode()
        (tmp_path / "got").unlink()


@pytest.mark.parametrize("name", [name for name, one in PROGRAMS.items() if one.tree])
def test_a_folder_is_mirrored_and_mirrored_back(client_of, tmp_path, s3, bucket, name):
    client, folder, back = client_of(name), tmp_path / "tree", tmp_path / "back"
    for key in ODD:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(key.encode() * 100)
    back.mkdir()
    client.mirror(folder, bucket)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(ODD, key=str.encode)
    before = {one["Key"]: one["LastModified"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    client.mirror(folder, bucket)
    assert {one["Key"]: one["LastModified"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]} == before, (
        "a second sync sent something"
    )
    (folder / ODD[0]).unlink()
    (folder / "new").write_bytes(b"new")
    client.mirror(folder, bucket)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted([*ODD[1:], "new"], key=str.encode)
    client.mirror_back(bucket, back)
    assert contents(back) == contents(folder)


def test_server_side_copies(client_of, s3, bucket, new_bucket):
    other, key = new_bucket(), "a b+ü/file.txt"
    s3.put_object(Bucket=bucket, Key=key, Body=b"copied")
    client_of("awscli").s3("cp", f"s3://{bucket}/{key}", f"s3://{other}/aws")
    client_of("s5cmd").s5cmd("cp", "--raw", f"s3://{bucket}/{key}", f"s3://{other}/s5cmd")
    client_of("rclone").rclone("copyto", f"s:{bucket}/{key}", f"s:{other}/rclone")
    client_of("s3cmd").s3cmd("cp", f"s3://{bucket}/{key}", f"s3://{other}/s3cmd")
    for name in ("aws", "s5cmd", "rclone", "s3cmd"):
        assert s3.get_object(Bucket=other, Key=name)["Body"].read() == b"copied", name
    client_of("rclone").rclone("moveto", f"s:{other}/rclone", f"s:{other}/moved")
    assert "moved" in client_of("obstore").keys(other) and "rclone" not in client_of("minio-py").keys(other)


def test_a_large_object_is_copied_in_parts_by_the_server(client_of, new_file, tmp_path, bucket, new_bucket):
    file, other = new_file(24 * MIB + 5), new_bucket()
    client_of("awscli").up(file, bucket, "large")
    client_of("awscli").s3("cp", "--no-progress", f"s3://{bucket}/large", f"s3://{other}/large")
    client_of("rclone").down(other, "large", tmp_path / "got")
    assert sha256(tmp_path / "got") == sha256(file)


def test_rclone_checks_hashes_of_what_others_wrote(client_of, new_file, tmp_path, bucket):
    folder = tmp_path / "tree"
    folder.mkdir()
    for number in range(5):
        file = new_file(50_000, number, name=f"tree/{number}")
        client_of("minio-py").up(file, bucket, file.name)
    client_of("rclone").rclone("check", "--download", folder, f"s:{bucket}")
    client_of("rclone").rclone("check", folder, f"s:{bucket}")


def test_presigned_by_clients(client_of, s3, bucket):
    import requests

    s3.put_object(Bucket=bucket, Key="a b", Body=b"found")
    links = [
        client_of("awscli").s3("presign", f"s3://{bucket}/a b").strip(),
        client_of("s5cmd").s5cmd("presign", f"s3://{bucket}/a b").strip(),
        client_of("rclone").rclone("link", f"s:{bucket}/a b").strip(),
        client_of("minio-py").client.presigned_get_object(bucket, "a b"),
    ]
    for link in links:
        assert requests.get(link, timeout=10).content == b"found", link


def test_obstore_conditional_writes_ranges_and_copies(client_of, bucket):
    import obstore
    from obstore.exceptions import AlreadyExistsError

    store = client_of("obstore").store(bucket)
    obstore.put(store, "k", b"0123456789", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "k", b"x", mode="create")
    assert bytes(obstore.get_range(store, "k", start=2, length=3)) == b"234"
    assert [bytes(one) for one in obstore.get_ranges(store, "k", starts=[0, 8], lengths=[1, 2])] == [b"0", b"89"]
    obstore.copy(store, "k", "copy")
    obstore.rename(store, "copy", "renamed")
    assert {one["path"] for page in obstore.list(store) for one in page} == {"k", "renamed"}
    assert obstore.head(store, "renamed")["size"] == 10


def test_minio_py_versions_and_many_deletes(client_of, versioned):
    from io import BytesIO

    from minio.deleteobjects import DeleteObject

    client = client_of("minio-py").client
    versions = [client.put_object(versioned, "k", BytesIO(body), len(body)).version_id for body in (b"1", b"22")]
    assert client.get_object(versioned, "k", version_id=versions[0]).read() == b"1"
    client.remove_object(versioned, "k")
    found = list(client.list_objects(versioned, include_version=True))
    assert len(found) == 3 and sum(one.is_delete_marker for one in found) == 1
    assert not list(client.remove_objects(versioned, [DeleteObject("k", one.version_id) for one in found]))
    client.remove_bucket(versioned)


def test_awscli_makes_and_removes_buckets(client_of):
    aws = client_of("awscli")
    aws.s3("mb", "s3://made-by-aws")
    assert "made-by-aws" in aws.s3("ls")
    aws.s3("rb", "--force", "s3://made-by-aws")
    assert "made-by-aws" not in client_of("s5cmd").s5cmd("ls")
