"""Tables kept in objects: Arrow's own client (the C++ SDK), Delta Lake (Rust's object_store) and DuckDB's httpfs."""

from __future__ import annotations

import threading
from pathlib import Path

import deltalake
import duckdb
import duckdb_extension_httpfs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.running import RunningServer

MIB = 1 << 20
WRITERS, COMMITS = 4, 5
ROWS = pa.table({"n": range(3000), "k": ["abc"[number % 3] for number in range(3000)]})


# ---- pyarrow ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def arrow(server: RunningServer) -> pyarrow.fs.S3FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key=server.access_key, secret_key=server.secret_key, endpoint_override=server.host, scheme="http", region=server.region,
        allow_bucket_creation=True, allow_bucket_deletion=True,
    )  # fmt: skip


def test_pyarrow_writes_and_filters_a_partitioned_dataset(arrow, bucket, s3):
    by_k = ds.partitioning(pa.schema([("k", pa.string())]), flavor="hive")
    ds.write_dataset(ROWS, f"{bucket}/set", filesystem=arrow, format="parquet", partitioning=by_k)
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"] if not one["Key"].endswith("/")]
    assert keys == [f"set/k={letter}/part-0.parquet" for letter in "abc"]
    found = ds.dataset(f"{bucket}/set", filesystem=arrow, partitioning="hive").to_table(filter=ds.field("k") == "b")
    assert sorted(found["n"].to_pylist()) == list(range(1, 3000, 3))
    ds.write_dataset(ROWS.slice(0, 3), f"{bucket}/set", filesystem=arrow, format="parquet", partitioning=by_k,
                     existing_data_behavior="delete_matching")
    assert ds.dataset(f"{bucket}/set", filesystem=arrow, partitioning="hive").count_rows() == 3


def test_pyarrow_streams_in_parts_and_reads_ranges(arrow, bucket, s3):
    body = bytes(range(256)) * (25 * MIB // 256)
    with arrow.open_output_stream(f"{bucket}/large", metadata={"Content-Type": "application/x-test"}) as out:
        for at in range(0, len(body), 3 * MIB + 1):
            out.write(body[at : at + 3 * MIB + 1])
    found = s3.head_object(Bucket=bucket, Key="large")
    assert (found["ContentLength"], found["ContentType"]) == (len(body), "application/x-test") and "-" in found["ETag"]
    with arrow.open_input_file(f"{bucket}/large") as file:
        assert (file.size(), file.read_at(300, 9 * MIB - 5)) == (len(body), body[9 * MIB - 5 : 9 * MIB + 295])
        assert file.read() == body


def test_pyarrow_moves_among_folders(arrow, bucket):
    arrow.create_dir(f"{bucket}/a/b", recursive=True)
    for name in ("a/b/1", "a/b/2 ü+%20", "a/3"):
        with arrow.open_output_stream(f"{bucket}/{name}") as out:
            out.write(name.encode())
    arrow.copy_file(f"{bucket}/a/3", f"{bucket}/copy")
    arrow.move(f"{bucket}/a/b/2 ü+%20", f"{bucket}/moved ü+%20")
    found = {one.path: one.type.name for one in arrow.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True))}
    assert found == {
        f"{bucket}/a": "Directory", f"{bucket}/a/3": "File", f"{bucket}/a/b": "Directory", f"{bucket}/a/b/1": "File",
        f"{bucket}/copy": "File", f"{bucket}/moved ü+%20": "File",
    }  # fmt: skip
    assert arrow.open_input_file(f"{bucket}/moved ü+%20").read() == "a/b/2 ü+%20".encode()
    arrow.delete_dir(f"{bucket}/a")
    assert arrow.get_file_info(f"{bucket}/a").type.name == "NotFound"
    with pytest.raises(FileNotFoundError):
        arrow.open_input_file(f"{bucket}/a/3")


def test_pyarrow_makes_and_removes_a_bucket(arrow, bucket):
    arrow.create_dir(f"{bucket}-too/folder", recursive=True)
    assert arrow.get_file_info(f"{bucket}-too/folder").type.name == "Directory"
    arrow.delete_dir(f"{bucket}-too")
    assert arrow.get_file_info(f"{bucket}-too").type.name == "NotFound"


# ---- Delta Lake ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def delta(server: RunningServer, bucket: str) -> tuple[str, dict[str, str]]:
    """The place of a table, and how to get there: commits are conditional puts, nothing else keeps writers apart."""
    return f"s3://{bucket}/table", {
        "AWS_ENDPOINT_URL": server.url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": server.region, "aws_conditional_put": "etag",
        "AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key,
    }  # fmt: skip


def test_deltalake_writers_beside_each_other_lose_no_commit(delta, s3, bucket):
    place, options = delta
    write_deltalake(place, pa.table({"writer": [-1], "commit": [-1]}), storage_options=options)
    start, raised = threading.Barrier(WRITERS), []

    def append(writer: int) -> None:
        try:
            start.wait()
            for commit in range(COMMITS):
                write_deltalake(place, pa.table({"writer": [writer], "commit": [commit]}), storage_options=options, mode="append")
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not raised
    table = DeltaTable(place, storage_options=options)
    assert table.version() == WRITERS * COMMITS
    logged = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="table/_delta_log/")["Contents"]]
    assert [key for key in logged if key.endswith(".json")] == [
        f"table/_delta_log/{version:020}.json" for version in range(WRITERS * COMMITS + 1)
    ]
    rows = table.to_pyarrow_table().to_pylist()
    wanted = [(-1, -1)] + [(writer, commit) for writer in range(WRITERS) for commit in range(COMMITS)]
    assert sorted((row["writer"], row["commit"]) for row in rows) == wanted


def test_deltalake_travels_back_merges_compacts_and_vacuums(delta, s3, bucket):
    place, options = delta
    for number in range(3):
        write_deltalake(place, pa.table({"id": [number], "v": ["old"]}), storage_options=options, mode="append")
    table = DeltaTable(place, storage_options=options)
    table.merge(pa.table({"id": [1, 9], "v": ["new", "new"]}), predicate="t.id = s.id", source_alias="s", target_alias="t") \
        .when_matched_update_all().when_not_matched_insert_all().execute()
    table.delete("id = 0")
    assert sorted(map(tuple, (row.values() for row in table.to_pyarrow_table().to_pylist()))) == [(1, "new"), (2, "old"), (9, "new")]
    table.optimize.compact()
    before = len(s3.list_objects_v2(Bucket=bucket, Prefix="table/part-")["Contents"])
    assert table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert len(s3.list_objects_v2(Bucket=bucket, Prefix="table/part-")["Contents"]) == 1 < before
    table.create_checkpoint()
    assert DeltaTable(place, storage_options=options).to_pyarrow_table().num_rows == 3
    assert deltalake.DeltaTable.is_deltatable(place, options) and not deltalake.DeltaTable.is_deltatable(place + "-2", options)


# ---- DuckDB -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def duck(server: RunningServer) -> duckdb.DuckDBPyConnection:
    """A database with httpfs from the package: nothing is downloaded."""
    [extension] = Path(duckdb_extension_httpfs.__file__).parent.glob("extensions/*/httpfs.duckdb_extension")
    db = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    db.load_extension(str(extension))
    db.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{server.access_key}', SECRET '{server.secret_key}', ENDPOINT '{server.host}', "
        f"REGION '{server.region}', URL_STYLE 'path', USE_SSL false)"
    )
    return db


def test_duckdb_copies_out_and_reads_parts_of_files(duck, bucket, s3):
    duck.execute(f"COPY (SELECT range n, hash(range) h FROM range(1500000)) TO 's3://{bucket}/one.parquet'")
    assert s3.head_object(Bucket=bucket, Key="one.parquet")["ContentLength"] > 10 * MIB
    assert duck.sql(f"SELECT count(*), sum(n) FROM 's3://{bucket}/one.parquet'").fetchall() == [(1500000, 1500000 * 1499999 // 2)]
    assert duck.sql(f"SELECT h = hash(1234567) FROM 's3://{bucket}/one.parquet' WHERE n = 1234567").fetchall() == [(True,)]


def test_duckdb_partitions_globs_and_lists(duck, bucket, s3):
    duck.execute(f"COPY (SELECT range n, range % 3 k FROM range(900)) TO 's3://{bucket}/by k' (FORMAT parquet, PARTITION_BY (k))")
    files = f"read_parquet('s3://{bucket}/by k/*/*.parquet', hive_partitioning=true)"
    assert duck.sql(f"SELECT k, count(*) FROM {files} GROUP BY k ORDER BY k").fetchall() == [(0, 300), (1, 300), (2, 300)]
    assert len(duck.sql(f"FROM glob('s3://{bucket}/by k/**')").fetchall()) == 3
    s3.put_object(Bucket=bucket, Key="ümläut+1.csv", Body=b"a,b\n1,x\n2,y\n")
    assert duck.sql(f"SELECT sum(a) FROM 's3://{bucket}/ümläut+1.csv'").fetchall() == [(3,)]
    with pytest.raises(duckdb.Error, match="404"):
        duck.sql(f"SELECT * FROM 's3://{bucket}/no.parquet'")


def test_what_pyarrow_and_deltalake_wrote_duckdb_reads(duck, arrow, delta, bucket):
    pq.write_table(ROWS, f"{bucket}/rows.parquet", filesystem=arrow, row_group_size=500)
    assert duck.sql(f"SELECT k, count(*) FROM 's3://{bucket}/rows.parquet' GROUP BY k ORDER BY k").fetchall() == [
        ("a", 1000), ("b", 1000), ("c", 1000),
    ]  # fmt: skip
    place, options = delta
    write_deltalake(place, ROWS, storage_options=options)
    assert duck.sql(f"SELECT sum(n) FROM '{place}/*.parquet'").fetchall() == [(pc.sum(ROWS["n"]).as_py(),)]
