"""Metrics: counts of several processes become one page, and survive the death of a process."""

import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared import metrics
from shared.metrics import Metrics, Usage
from shared.settings import ROOT

CHILD = """
import sys
from pathlib import Path
from shared.metrics import Metrics
counts = Metrics(Path(sys.argv[1]), sys.argv[2])
for _ in range(int(sys.argv[3])):
    counts.started()
    counts.finished("PutObject", 200, bytes_in=10, bytes_out=0, duration_s=0.004)
counts.started()
print("done", flush=True)
if sys.argv[4] == "die":
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def child(directory, slot, requests, then="stay"):
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(directory), slot, str(requests), then], cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"done\n"
    return process


def values(counts):
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(counts.render().decode()) for sample in family.samples}


@pytest.fixture
def directory(tmp_path):
    metrics.wipe(tmp_path / "metrics")
    return tmp_path / "metrics"


def test_two_processes_are_summed(directory):
    children = [child(directory, "s3-1", 3), child(directory, "s3-2", 4)]
    own = Metrics(directory, "s3-0")
    own.started()
    own.finished("PutObject", 404, "NoSuchBucket", bytes_in=5, bytes_out=300, duration_s=0.2)
    found = values(own)
    for process in children:
        process.communicate()
    put = ("operation", "PutObject")
    assert found["maxiofs_s3_operations_total", put, ("status", "2xx")] == 7
    assert found["maxiofs_s3_operations_total", put, ("status", "4xx")] == 1
    assert found["maxiofs_s3_errors_total", ("error_type", "NoSuchBucket"), put] == 1
    assert found["maxiofs_s3_bytes_received_total", put] == 75
    assert found["maxiofs_s3_bytes_sent_total", put] == 300
    assert found[("maxiofs_s3_requests_in_flight",)] == 2
    buckets = {name[1][1]: value for name, value in found.items() if name[0] == "maxiofs_s3_operation_duration_seconds_bucket"}
    assert (buckets["0.0025"], buckets["0.005"], buckets["0.1"], buckets["0.25"], buckets["+Inf"]) == (0, 7, 7, 8, 8)
    assert found["maxiofs_s3_operation_duration_seconds_count", put] == 8
    assert found["maxiofs_s3_operation_duration_seconds_sum", put] == pytest.approx(0.228)


def test_a_dead_process_leaves_its_counts_but_no_request_in_flight(directory):
    child(directory, "s3-1", 3, "die").wait()
    own = Metrics(directory, "s3-0")
    put = ("maxiofs_s3_operations_total", ("operation", "PutObject"), ("status", "2xx"))
    assert values(own)[("maxiofs_s3_requests_in_flight",)] == 1
    metrics.forget(directory, "s3-1")
    assert (values(own)[("maxiofs_s3_requests_in_flight",)], values(own)[put]) == (0, 3)
    successor = child(directory, "s3-1", 2)
    assert (values(own)[("maxiofs_s3_requests_in_flight",)], values(own)[put]) == (1, 5)
    successor.communicate()
    assert len(list(directory.glob("*_s3-1.db"))) == 3, "restarts must not pile up files"


def test_wiping_starts_from_zero(directory):
    child(directory, "s3-1", 3).communicate()
    metrics.wipe(directory)
    assert not [name for name in values(Metrics(directory)) if name[0] == "maxiofs_s3_operations_total"]


def test_a_command_counts_for_itself_alone(directory):
    own = Metrics(directory)
    own.started()
    own.finished("PutObject", 200, duration_s=1)
    assert not list(directory.glob("*.db"))


def test_the_slot_is_claimed_once_for_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "_slot", "")
    metrics.claim_slot("s3-7")
    metrics.of_this_process(tmp_path)
    assert (tmp_path / "run" / "metrics" / "counter_s3-7.db").exists()


def test_steps_of_workflows_are_counted(directory):
    own = Metrics(directory, "workflows-0")
    own.task("sweep", "done", 0.3)
    own.task("sweep", "done", 0.3)
    own.task("sweep", "failed", 0.3)
    found = values(own)
    assert found["maxiofs_background_tasks_total", ("status", "done"), ("task_type", "sweep")] == 2
    assert found["maxiofs_background_task_duration_seconds_count", ("task_type", "sweep")] == 3


def test_buckets_and_disk_are_read_when_asked(directory):
    own = Metrics(directory, "s3-0")
    own.usage = lambda: [Usage("b", 3, 4096)]
    found = values(own)
    assert found["maxiofs_bucket_objects_total", ("bucket", "b")] == 3
    assert found["maxiofs_bucket_bytes_total", ("bucket", "b")] == 4096
    assert found[("maxiofs_system_disk_total_bytes",)] > found[("maxiofs_system_disk_free_bytes",)] > 0
    assert found["maxiofs_build_info", ("version", "0.1.0")] == 1


@pytest.mark.parametrize("status, shown", [(100, "1xx"), (206, "2xx"), (304, "3xx"), (499, "4xx"), (507, "5xx"), (999, "5xx"), (0, "1xx")])
def test_status_labels_are_classes(directory, status, shown):
    own = Metrics(directory, "s3-0")
    own.started()
    own.finished("GetObject", status, duration_s=0)
    assert values(own)["maxiofs_s3_operations_total", ("operation", "GetObject"), ("status", shown)] == 1


def test_a_full_file_counts_on_without_failing(directory, monkeypatch):
    monkeypatch.setattr(metrics, "_FILE_BYTES", 4096)
    own = Metrics(directory, "s3-0")
    for number in range(60):
        own.started()
        own.finished(f"Operation{number}", 200, duration_s=0)
    assert values(own)["maxiofs_s3_operations_total", ("operation", "Operation0"), ("status", "2xx")] == 1


def test_names_with_quotes_survive(directory):
    own = Metrics(directory, "s3-0")
    own.started()
    own.finished('odd"\\\n', 200, duration_s=0)
    assert values(own)["maxiofs_s3_operations_total", ("operation", 'odd"\\\n'), ("status", "2xx")] == 1
