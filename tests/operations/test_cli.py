"""The command line on the real server: what it prints, its exit codes, and processes that start and stop."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import click
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner

from scripts.cli.command import Failure, with_settings
from shared.host.child import end_with_starter
from shared.settings import ROOT, SETTINGS

BASE = {name: value for name, value in os.environ.items() if not name.startswith(("MAXIOFS_", "AWS_"))}
GIVEN = {"MAXIOFS_ROOT_ACCESS_KEY": "AKIAGIVEN00000000000", "MAXIOFS_ROOT_SECRET_KEY": "given-secret-0123456789"}
ANY_PORT = ("--listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0")
PATIENCE_S = 45         # two busy cores
BIG_BYTES = 64 << 20
MEASURED = """
import atexit, sys
atexit.register(lambda: sys.stderr.write(next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))))
from scripts.cli.main import main
main()
"""


def environ(**more):
    return {**BASE, "PYTHONPATH": str(ROOT), **more}


def command(*arguments):
    return [sys.executable, "-P", "-m", "scripts.cli", *map(str, arguments)]


def maxiofs(*arguments, stdin=None, cwd=None, **more):
    return subprocess.run(
        command(*arguments), env=environ(**more), input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, cwd=cwd, check=False)


def asked(*arguments, **options):
    """The JSON that a command prints; it must succeed."""
    done = maxiofs(*arguments, "--json", **options)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    return json.loads(done.stdout)


def wait_until(true, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
    return found


def processes(data_dir):
    """Process id → command line of the living processes that work on a data folder."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
            if str(data_dir).encode() in words and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    found.pop(os.getpid(), None)
    return found


def cpu_time_s(pid):
    """What a process and its ended children have taken of the processors."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def client(url, access_key, secret_key):
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name="us-east-1",
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))


class Up:
    """A running ``maxiofs`` that stays, and what it says."""

    def __init__(self, log, *arguments, **more):
        self.log = log
        self.started_s = time.monotonic()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command(*arguments), env=environ(**more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
                preexec_fn=end_with_starter)
        self.event = {}

    def ready(self):
        """Wait for the line that says so; access log lines may come before it."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event.get("event") == "ready":
                self.took_s = time.monotonic() - self.started_s
                self.event = event
                return self
        raise AssertionError("it ended:\n" + self.log.read_text())

    def s3(self, credentials=None):
        given = credentials or self.event
        return client(self.event["s3_url"], given["access_key"], given["secret_key"])

    def end(self):
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    yield folder
    wait_until(lambda: not processes(folder), 5)


@pytest.fixture
def stay(data_dir, tmp_path):
    """Start commands that stay; nothing of them is left after the test."""
    started = []

    def stay(*arguments, **more):
        started.append(Up(tmp_path / f"log-{len(started)}", *arguments, "--data-dir", data_dir, **more))
        return started[-1]

    yield stay
    for one in started:
        one.close()


@pytest.fixture
def up(stay):
    return lambda *arguments, **more: stay("up", *ANY_PORT, "--json", "--processes", "1", *arguments, **more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server beside which the commands work, with the credentials it made."""
    folder = tmp_path_factory.mktemp("server")
    running = Up(folder / "log", "up", *ANY_PORT, "--json", "--processes", "2", "--data-dir", folder / "data")
    try:
        running.ready()
        running.data_dir = folder / "data"
        yield running
        assert running.end() == 0
        assert not processes(folder / "data")
    finally:
        running.close()


def get(url, path):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# ---- up -----------------------------------------------------------------------------------------------------------------------------


def test_up_runs_all_processes_and_serves_root(server):
    wanted = ["up", "functions --process s3", "functions --process s3", "functions --process console", "workflows", "scheduler"]
    lines = processes(server.data_dir).values()
    assert len(lines) == len(wanted)
    assert all(sum(f"scripts.cli {name} " in line for line in lines) == wanted.count(name) for name in wanted), lines
    server.s3().create_bucket(Bucket="by-boto3")
    assert [bucket["Name"] for bucket in server.s3().list_buckets()["Buckets"]] == ["by-boto3"]
    assert get(server.event["s3_url"], "/readyz")[0] == get(server.event["console_url"], "/readyz")[0] == 200
    assert get(server.event["console_url"], "/api/v1/version") == (200, '{"name":"MaxIOFS","version":"0.1.0"}\n')


def test_no_process_outlives_up_and_the_next_one_starts_at_once(up, data_dir):
    running = up().ready()
    made = {name: running.event[name] for name in ("access_key", "secret_key")}
    running.s3().create_bucket(Bucket="kept")
    address = running.event["s3_url"].removeprefix("http://")
    for number, code in (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL):
        assert len(processes(data_dir)) == 5
        running.process.send_signal(number)
        assert running.process.wait(PATIENCE_S) == code
        if number == signal.SIGTERM:
            assert not processes(data_dir)
        running = up("--listen", address).ready()       # after SIGKILL its children may still be on their way out
        cpu_s = sum(map(cpu_time_s, processes(data_dir)))
        print(f"start after {number.name}: {running.took_s:.2f} s, {cpu_s:.2f} s of the processors")
        assert cpu_s < 9        # about 3 is usual; time by the clock says more about what else the machine does
        assert "access_key" not in running.event and made["secret_key"] not in running.log.read_text()
        running.s3(made).head_bucket(Bucket="kept")
        wait_until(lambda: len(processes(data_dir)) == 5, 5)
    assert running.end() == 0


def test_a_child_that_dies_is_started_again(server):
    pid = next(pid for pid, line in processes(server.data_dir).items() if "scripts.cli workflows" in line)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: [new for new, line in processes(server.data_dir).items() if "scripts.cli workflows" in line and new != pid])


def test_sigterm_lets_a_running_upload_finish(up):
    """By the way: credentials that were given are not repeated, and public URLs are those of the settings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    running = up("--listen", address, "--public-url", "https://s3.example.com/", **GIVEN).ready()
    assert running.event["s3_url"] == "https://s3.example.com"
    assert GIVEN["MAXIOFS_ROOT_SECRET_KEY"] not in json.dumps(running.event)
    s3 = client(f"http://{address}", GIVEN["MAXIOFS_ROOT_ACCESS_KEY"], GIVEN["MAXIOFS_ROOT_SECRET_KEY"])
    s3.create_bucket(Bucket="slow")
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "slow", "Key": "k"}))
    with socket.create_connection((url.hostname, url.port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 200000\r\n\r\n".encode())
        connection.sendall(b"x" * 100_000)
        staged = Path(running.event["data_dir"]) / "staging"
        wait_until(lambda: any(file.stat().st_size for file in staged.rglob("*") if file.is_file()))
        running.process.terminate()
        wait_until(lambda: _refuses(url.hostname, url.port))
        assert running.process.poll() is None
        connection.sendall(b"x" * 100_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert running.process.wait(PATIENCE_S) == 0


def _refuses(host, port):
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex((host, port)) != 0


def test_the_banner_has_what_a_person_needs(stay, data_dir):
    process = stay("up", *ANY_PORT, "--processes", "1").process
    text = ""
    while "root reset" not in text:
        line = process.stdout.readline()
        assert line, text
        text += line
    for wanted in ("MaxIOFS 0.1.0 is ready", "S3       http://127.0.0.1:", "Console  http://127.0.0.1:", str(data_dir), "Access key  AKIA",
                   "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=", "aws --endpoint-url http://127.0.0.1:"):
        assert wanted in text


def test_a_second_server_on_the_same_folder_is_refused(server):
    done = maxiofs("up", *ANY_PORT, "--data-dir", server.data_dir)
    assert done.returncode == 3
    assert f"already running on {server.data_dir} (process {server.process.pid})" in done.stderr


def test_a_port_in_use_is_one_clear_line(data_dir):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "{}:{}".format(*other.getsockname())
        done = maxiofs("up", "--data-dir", data_dir, "--console-listen", "127.0.0.1:0", "--listen", address)
    sentence = f"cannot listen on {address}: another program is using this port (setting: MAXIOFS_LISTEN)"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"maxiofs: {sentence}\n")


def test_an_unwritable_data_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    done = maxiofs("up", "--data-dir", tmp_path / "file" / "data")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "cannot write to the data folder" in done.stderr and "MAXIOFS_DATA_DIR" in done.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failing_preparation_is_one_clear_line_with_its_exit_code(data_dir, tmp_path, as_json):
    """The flag beats a variable with _FILE, in the children too: the file names a database that could be made."""
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/other.db")
    done = maxiofs("up", *ANY_PORT, "--data-dir", data_dir, "--database-url", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2",
                   *(["--json"] if as_json else []), MAXIOFS_DATABASE_URL_FILE=str(tmp_path / "url"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert not (tmp_path / "other.db").exists()
    if as_json:
        assert json.loads(done.stderr)["exit_code"] == 3


# ---- processes alone ----------------------------------------------------------------------------------------------------------------


def test_functions_run_alone_and_tell_of_the_root_they_made(stay):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    alone = stay("functions", "--process", "s3", "--listen", address, "--json")
    wait_until(lambda: _is_ready(f"http://{address}"))
    made = next(line for line in map(json.loads, alone.log.read_text().splitlines()) if line.get("event") == "root")
    client(f"http://{address}", made["access_key"], made["secret_key"]).create_bucket(Bucket="alone")
    assert alone.end() == 0


def _is_ready(url):
    try:
        return get(url, "/readyz")[0] == 200
    except OSError:
        return False


def test_scheduler_and_workflows_run_alone(stay, data_dir):
    scheduler = stay("scheduler")
    wait_until(lambda: "sweep" in _runs(data_dir))
    assert set(_runs(data_dir).values()) == {"queued"}      # it does no work itself
    assert scheduler.end() == 0
    workflows = stay("workflows")
    assert asked("run", "prune_runs", "--wait", "--data-dir", data_dir)["state"] == "done"
    assert workflows.end() == 0


def _runs(data_dir):
    try:
        with sqlite3.connect(f"file:{data_dir}/maxiofs.db?mode=ro", uri=True) as database:
            return dict(database.execute("SELECT workflow, state FROM run"))
    except sqlite3.OperationalError:
        return {}


def test_an_unknown_process_names_the_known_ones(data_dir):
    done = maxiofs("functions", "--process", "nope", "--data-dir", data_dir)
    assert done.returncode == 2 and "s3, console" in done.stderr
    error = json.loads(maxiofs("functions", "--process", "nope", "--json", "--data-dir", data_dir).stderr)
    assert error["exit_code"] == 2 and "s3, console" in error["error"][0]


# ---- settings, version --------------------------------------------------------------------------------------------------------------


def test_settings_show_value_and_source(data_dir):
    (data_dir / "maxiofs.toml").write_text('region = "eu-1"')
    found = asked("settings", "--data-dir", data_dir, **GIVEN)
    assert set(found) == {row.name for row in SETTINGS}
    assert (found["region"]["value"], found["region"]["source"]) == ("eu-1", "file")
    assert (found["data_dir"]["source"], found["root_secret_key"]["value"]) == ("flag", "********")
    table = maxiofs("settings", "--data-dir", data_dir, COLUMNS="200").stdout
    assert "MAXIOFS_REGION" in table and "eu-1" in table


def test_wrong_settings_are_usage_errors_on_lines_of_their_own():
    done = maxiofs("settings", MAXIOFS_LISTN="x", MAXIOFS_PROCESSES="none")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "maxiofs: MAXIOFS_LISTN: there is no such setting; did you mean MAXIOFS_LISTEN?",
        "maxiofs: MAXIOFS_PROCESSES = 'none': must be a whole number"]
    assert json.loads(maxiofs("settings", "--json", MAXIOFS_LISTN="x").stderr)["exit_code"] == 2


def test_secrets_have_no_flags():
    help_text = maxiofs("up", "--help").stdout
    assert "--root-access-key" in help_text and "--root-secret-key" not in help_text and "--master-key" not in help_text


def test_version(tmp_path):
    assert asked("version")["maxiofs"] == "0.1.0"
    for name in ("scripts", "shared"):      # folders named like ours do not get in the way
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(99)")
    assert maxiofs("version", cwd=tmp_path).stdout.startswith("MaxIOFS 0.1.0 (python 3.")


# ---- invoke -------------------------------------------------------------------------------------------------------------------------


def invoke(server, function, arguments, *more, **options):
    return asked("invoke", function, json.dumps(arguments), "--data-dir", server.data_dir, *more, **options)["result"]


def test_invoke_works_beside_a_running_server(server, tmp_path):
    (tmp_path / "in").write_bytes(b"hello\xff")
    assert invoke(server, "s3.CreateBucket", {"Bucket": "invoked"}) == {"Location": "/invoked"}
    put = invoke(server, "s3.PutObject", {"Bucket": "invoked", "Key": "a b/ü+", "Metadata": {"n": "1"}}, "--body", tmp_path / "in")
    seen = server.s3().get_object(Bucket="invoked", Key="a b/ü+")
    assert (seen["Body"].read(), seen["ETag"], seen["Metadata"]) == (b"hello\xff", put["ETag"], {"n": "1"})
    shown = invoke(server, "s3.GetObject", {"Bucket": "invoked", "Key": "a b/ü+"})
    assert (shown["Body"], shown["ContentLength"], shown["Metadata"]) == ("hello\\xff", 6, {"n": "1"})
    listed = invoke(server, "s3.ListObjectsV2", {"Bucket": "invoked", "Prefix": "a"})
    assert (listed["KeyCount"], listed["IsTruncated"]) == (1, False)
    assert [(one["Key"], one["Size"]) for one in listed["Contents"]] == [("a b/ü+", 6)]
    wanted = {"Bucket": "invoked", "Delete": {"Objects": [{"Key": "a b/ü+"}]}}
    assert invoke(server, "s3.DeleteObjects", wanted) == {"Deleted": [{"Key": "a b/ü+"}]}
    assert server.s3().list_objects_v2(Bucket="invoked")["KeyCount"] == 0


def measured(server, *arguments):
    """The peak memory of an invocation, in bytes."""
    words = [sys.executable, "-P", "-c", MEASURED, "invoke", *map(str, arguments), "--json", "--data-dir", str(server.data_dir)]
    done = subprocess.run(words, env=environ(), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-2]) << 10


def test_invoke_holds_no_large_body_in_memory(server, tmp_path):
    server.s3().create_bucket(Bucket="large")
    block = os.urandom(1 << 20)
    with (tmp_path / "in").open("wb") as file:
        for number in range(BIG_BYTES >> 20):
            file.write(number.to_bytes(4, "big") + block[4:])
    name = '{"Bucket": "large", "Key": "k"}'
    most = measured(server, "s3.HeadBucket", '{"Bucket": "large"}') + BIG_BYTES // 2
    assert measured(server, "s3.PutObject", name, "--body", tmp_path / "in") < most
    assert measured(server, "s3.GetObject", name, "--output", tmp_path / "out") < most
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert server.s3().head_object(Bucket="large", Key="k")["ContentLength"] == BIG_BYTES
    refused = maxiofs("invoke", "s3.GetObject", name, "--data-dir", server.data_dir)
    assert refused.returncode == 2 and "--output" in refused.stderr


def test_invoke_takes_a_body_from_standard_input_or_as_text(server, tmp_path):
    server.s3().create_bucket(Bucket="bodies")
    invoke(server, "s3.PutObject", {"Bucket": "bodies", "Key": "piped"}, "--body", "-", stdin="from a pipe")
    invoke(server, "s3.PutObject", {"Bucket": "bodies", "Key": "text", "Body": "as text"})
    told = invoke(server, "s3.GetObject", {"Bucket": "bodies", "Key": "piped", "Range": "bytes=5-"}, "--output", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a pipe" and told["Body"] == f"6 bytes in {tmp_path / 'out'}"
    assert server.s3().get_object(Bucket="bodies", Key="text")["Body"].read() == b"as text"


def test_invoke_calls_admin_functions_and_tells_of_the_root_it_made(data_dir):
    done = maxiofs("invoke", "admin.version", "--json", "--data-dir", data_dir)
    assert json.loads(done.stdout) == {"result": {"name": "MaxIOFS", "version": "0.1.0"}}
    assert json.loads(done.stderr)["event"] == "root"
    again = maxiofs("invoke", "admin.version", "--data-dir", data_dir)
    assert '"name": "MaxIOFS"' in again.stdout and again.stderr == ""


@pytest.mark.parametrize("arguments, code, sentence", [
    (["s3.GetObject", "{"], 2, "is not JSON"), (["s3.GetObject", "[]"], 2, "must be a JSON object"),
    (["s3.Missing"], 2, "there is no function s3.Missing; known: admin."),
    (["s3.GetObject", '{"Bucket": "by-boto3", "Kei": "x"}'], 2, 'Missing required parameter in input: "Key"'),
    (["s3.ListBuckets", "{}", "--body", __file__], 2, "s3.ListBuckets takes no body"),
    (["s3.HeadBucket", '{"Bucket": "missing"}'], 1, "NoSuchBucket: The specified bucket does not exist"),
    (["s3.CreateBucket", '{"Bucket": "No"}'], 1, "InvalidBucketName"),
    (["s3.CreateBucket", '{"Bucket": "located", "BucketNamespace": "account-regional"}'], 1, "NotImplemented"),
    (["s3.ListBuckets", "{}", "--output", "/nowhere/out"], 1, "no Body"),
    (["s3.ListBuckets", "{}", "--body", "/nowhere/at/all"], 2, "No such file"),
    (["s3.ListBuckets", "{}", "--data-dir", "/nowhere/at/all"], 1, "there is no data folder"), ([], 2, "Missing argument"),
    (["s3.ListBuckets", "{}", "--database-url", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"], 3, "127.0.0.1"),
])
def test_exit_codes_of_invoke(server, arguments, code, sentence):
    """Each error is one JSON document on stderr with --json, and stdout stays empty."""
    done = maxiofs("invoke", "--json", "--data-dir", server.data_dir, *arguments)
    error = json.loads(done.stderr)
    assert (done.returncode, done.stdout, error["exit_code"], sentence in error["error"][0]) == (code, "", code, True), error


def test_errors_are_one_line_for_people(server):
    done = maxiofs("invoke", "s3.HeadBucket", '{"Bucket": "missing"}', "--data-dir", server.data_dir)
    assert (done.returncode, done.stderr) == (1, "maxiofs: NoSuchBucket: The specified bucket does not exist\n")


def test_a_bug_shows_as_a_traceback(monkeypatch):
    @click.command()
    @with_settings
    def broken(context):
        raise KeyError("a bug")

    for name in [name for name in os.environ if name.startswith("MAXIOFS_")]:
        monkeypatch.delenv(name)
    assert isinstance(CliRunner().invoke(broken, []).exception, KeyError)
    told = CliRunner().invoke(broken, ["--json"])
    assert told.exit_code == 1 and "Traceback" in json.loads(told.stderr)["error"][0]
    assert Failure("x").exit_code == 1


# ---- run, check, root ---------------------------------------------------------------------------------------------------------------


def test_run_starts_and_waits_with_progress(server):
    done = maxiofs("run", "sweep", "--wait", "--data-dir", server.data_dir)
    assert (done.returncode, done.stdout.startswith("run "), ": done" in done.stdout) == (0, True, True), done.stderr
    assert done.stderr.startswith("sweep: 0")
    assert asked("run", "sweep", "--wait", "--data-dir", server.data_dir)["state"] == "done"


def test_run_without_a_server_waits_and_a_failed_run_is_exit_code_1(data_dir, tmp_path):
    started = asked("run", "sweep", "--data-dir", data_dir)
    waiting = subprocess.Popen(command("run", "sweep", "--wait", "--data-dir", data_dir), env=environ(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert waiting.stderr.readline() == "sweep: 0, waiting for a running server\n"
    with sqlite3.connect(data_dir / "maxiofs.db", timeout=10) as database:
        database.execute("UPDATE run SET state = 'failed', message = 'why', finished_ms = 1 WHERE id = ?", [started["run"]])
    out, _ = waiting.communicate(timeout=PATIENCE_S)
    assert (waiting.returncode, out) == (1, f"run {started['run']}: failed (why)\n")       # the unfinished run was joined


@pytest.mark.parametrize("arguments, sentence", [
    (["swepe"], "there is no workflow 'swepe': did you mean 'sweep'?"), (["sweep", "--input", "[]"], "--input must be a JSON object")])
def test_run_refuses_what_it_does_not_know(data_dir, arguments, sentence):
    done = maxiofs("run", *arguments, "--data-dir", data_dir)
    assert done.returncode == 2 and sentence in done.stderr


def test_check_reads_only_and_repairs_when_told(data_dir, tmp_path):
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    for function, more in (("s3.CreateBucket", []), ("s3.PutObject", ["--body", str(tmp_path / "in")])):
        arguments = '{"Bucket": "checked"' + (', "Key": "k"}' if more else "}")
        asked("invoke", function, arguments, *more, "--data-dir", data_dir)
    assert asked("check", "--deep", "--data-dir", data_dir)["ok"] is True
    with sqlite3.connect(data_dir / "maxiofs.db", timeout=10) as database:
        database.execute("UPDATE blob SET refs = 7")
    done = maxiofs("check", "--data-dir", data_dir)
    assert done.returncode == 1 and "miscounted" in done.stdout and "check: " in done.stderr
    found = asked("check", "--repair", "--data-dir", data_dir)["findings"]
    assert [(one["kind"], one["repaired"]) for one in found] == [("refs", 1)]       # the first check changed nothing
    next(file for file in (data_dir / "blobs").rglob("*") if file.is_file()).unlink()
    done = maxiofs("check", "--repair", "--json", "--data-dir", data_dir)
    assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False and done.stderr == ""
    assert "refs" not in done.stdout
    lost = maxiofs("invoke", "s3.GetObject", '{"Bucket": "checked", "Key": "k"}', "--data-dir", data_dir)
    assert lost.returncode == 1 and "missing or damaged" in lost.stderr


def test_root_reset_replaces_the_credentials_of_a_running_server(server):
    old = dict(server.event)
    before = server.s3(old)
    before.list_buckets()
    made = asked("root", "reset", "--data-dir", server.data_dir)
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        before.list_buckets()
    server.event |= made
    for _ in range(6):      # both processes
        assert server.s3().list_buckets()["Buckets"]
    given = maxiofs("root", "reset", "--data-dir", server.data_dir, **GIVEN)
    assert given.returncode == 1 and "MAXIOFS_ROOT_ACCESS_KEY" in given.stderr


def test_root_reset_needs_no_server(data_dir):
    done = maxiofs("root", "reset", "--data-dir", data_dir)
    assert done.returncode == 0 and "Access key  AKIA" in done.stdout and done.stderr == ""
    assert maxiofs("root", "reset", "--data-dir", data_dir / "none").returncode == 1
