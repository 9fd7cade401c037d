"""The command line: what it prints, its exit codes, and a server that starts and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.settings import ROOT, SETTINGS

STUB = Path(__file__).parent / "stub"
BASE = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")}


def environ(**more):
    return {**BASE, "PYTHONPATH": str(ROOT), **more}


def command(*arguments):
    return [sys.executable, "-P", "-m", "scripts.cli", *map(str, arguments)]


def maxiofs(*arguments, stdin=None, cwd=None, **more):
    return subprocess.run(command(*arguments), env=environ(**more), input=stdin, capture_output=True, text=True, timeout=30, cwd=cwd)


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def up(data_dir):
    started = []

    def up(*arguments, **more):
        process = subprocess.Popen(
            command("up", "--listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0", "--data-dir", data_dir, *arguments),
            env=environ(**more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield up
    for process in started:
        process.kill()
        process.communicate()


def ready(process):
    event = json.loads(process.stdout.readline())
    assert event["event"] == "ready"
    return event


def ask(url):
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        return json.loads(connection.recv(1000))


def test_up_answers_on_both_addresses_and_stops_on_sigterm(up):
    process = up("--json", "--region", "eu-west-1", "--processes", "2")
    event = ready(process)
    answer = ask(event["s3_url"])
    assert (answer["process"], answer["region"]) == ("s3", "eu-west-1")
    assert event["s3_url"] == f"http://{answer['listen']}"
    assert ask(event["console_url"])["process"] == "console"
    pids = {ask(event["s3_url"])["pid"] for _ in range(20)}
    process.terminate()
    assert process.wait(10) == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_up_shows_new_credentials_once(up):
    process = up("--json")
    first = ready(process)
    assert (first["access_key"], first["secret_key"]) == ("AKIAFIRST", "first-secret")
    process.terminate()
    process.wait(10)
    assert "access_key" not in ready(up("--json"))


def test_the_banner_has_what_a_person_needs(up, data_dir):
    process = up()
    text = ""
    while "root reset" not in text:
        text += process.stdout.readline()
    for wanted in ("MaxIOFS 0.1.0 is ready", "S3       http://127.0.0.1:", "Console  http://127.0.0.1:", str(data_dir),
                   "AWS_ACCESS_KEY_ID=AKIAFIRST AWS_SECRET_ACCESS_KEY=first-secret", "aws --endpoint-url http://127.0.0.1:"):
        assert wanted in text


def test_given_credentials_are_not_repeated(up):
    process = up("--json", MAXIOFS_ROOT_ACCESS_KEY="admin", MAXIOFS_ROOT_SECRET_KEY="given-secret")
    assert "given-secret" not in json.dumps(ready(process))


def test_public_urls_are_those_of_the_settings(up):
    event = ready(up("--json", "--public-url", "https://s3.example.com/"))
    assert event["s3_url"] == "https://s3.example.com"


def test_a_second_server_on_the_same_folder_is_refused(up, data_dir):
    first = up("--json")
    ready(first)
    second = up("--json")
    _, errors = second.communicate(timeout=10)
    assert second.returncode == 3
    assert f"already running on {data_dir} (process {first.pid})" in errors


def test_a_killed_server_can_be_started_again_at_once(up):
    first = up("--json")
    address = ready(first)["s3_url"].removeprefix("http://")
    first.kill()
    first.wait()
    second = up("--json", "--listen", address)
    assert ready(second)["s3_url"] == f"http://{address}"


def test_a_port_in_use_is_one_clear_line(up):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "{}:{}".format(*other.getsockname())
        process = up("--listen", address)
        out, errors = process.communicate(timeout=10)
    assert (process.returncode, out) == (1, "")
    assert errors == f"maxiofs: cannot listen on {address}: another program is using this port (setting: MAXIOFS_LISTEN)\n"


def test_an_unwritable_data_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    done = maxiofs("up", "--data-dir", tmp_path / "file" / "data")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "cannot write to the data folder" in done.stderr and "MAXIOFS_DATA_DIR" in done.stderr


def test_a_failing_preparation_is_one_clear_line(up):
    process = up(STUB_PREPARE_FAILS="yes")
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (1, "", "maxiofs: the disk is on fire\n")


def test_a_flag_beats_a_variable_with_file_in_the_children_too(up, tmp_path):
    (tmp_path / "url").write_text("postgresql://elsewhere/db")
    event = ready(up("--json", "--database-url", "sqlite:///x", MAXIOFS_DATABASE_URL_FILE=str(tmp_path / "url")))
    assert ask(event["s3_url"])["database_url"] == "sqlite:///x"


def test_one_process_can_run_alone(data_dir):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    process = subprocess.Popen(command("functions", "--process", "s3", "--listen", address, "--data-dir", data_dir), env=environ())
    try:
        for _ in range(100):
            try:
                assert ask(f"http://{address}")["process"] == "s3"
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert (data_dir / "closed").exists()


def test_an_unknown_process_names_the_known_ones(data_dir):
    done = maxiofs("functions", "--process", "nope", "--data-dir", data_dir)
    assert done.returncode == 2 and "s3, console" in done.stderr


def test_settings_show_value_and_source(data_dir):
    (data_dir / "maxiofs.toml").write_text('region = "eu-1"')
    done = maxiofs("settings", "--json", "--data-dir", data_dir, MAXIOFS_ROOT_ACCESS_KEY="admin", MAXIOFS_ROOT_SECRET_KEY="0123456789")
    found = json.loads(done.stdout)
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


def test_invoke_prints_the_result(data_dir):
    done = maxiofs("invoke", "s3.Echo", '{"Bucket": "b"}', "--json", "--data-dir", data_dir)
    assert json.loads(done.stdout) == {"result": {"name": "s3.Echo", "Bucket": "b"}}
    assert '"Bucket": "b"' in maxiofs("invoke", "s3.Echo", '{"Bucket": "b"}', "--data-dir", data_dir).stdout


def test_invoke_takes_and_gives_bodies(data_dir, tmp_path):
    done = maxiofs("invoke", "s3.Echo", "--body", "-", "--output", tmp_path / "out", "--data-dir", data_dir, stdin="hello")
    assert (tmp_path / "out").read_text() == "hello" and "5 bytes in" in done.stdout


@pytest.mark.parametrize("arguments, code, sentence", [
    (["s3.Echo", "{"], 2, "is not JSON"), (["s3.Echo", "[]"], 2, "must be a JSON object"), (["s3.Missing"], 2, "there is no function"),
    (["s3.Refused"], 1, "NoSuchBucket: The specified bucket does not exist"), (["s3.Unreachable"], 3, "could not connect"),
    (["s3.Bug"], 1, "Traceback"), (["s3.Echo", "{}", "--data-dir", "/nowhere/at/all"], 1, "there is no data folder"), ([], 2, "Usage"),
])
def test_exit_codes_of_invoke(data_dir, arguments, code, sentence):
    done = maxiofs("invoke", "--data-dir", data_dir, *arguments)
    assert (done.returncode, sentence in done.stderr) == (code, True)


def test_run_starts_and_waits_with_progress(data_dir):
    assert maxiofs("run", "sweep", "--data-dir", data_dir).stdout == "run sweep started\n"
    done = maxiofs("run", "sweep", "--wait", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (0, "run sweep: done (why)\n") and "sweep: 2 of 2" in done.stderr
    failed = maxiofs("run", "bad", "--wait", "--json", "--data-dir", data_dir)
    assert (failed.returncode, json.loads(failed.stdout)["state"], failed.stderr) == (1, "failed", "")


def test_check_fails_when_something_is_wrong(data_dir):
    done = maxiofs("check", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (1, "1 object has no bytes\n") and "check: 2 of 2, objects" in done.stderr
    assert maxiofs("check", "--repair", "--data-dir", data_dir).returncode == 0


def test_root_reset_prints_new_credentials(data_dir):
    assert json.loads(maxiofs("root", "reset", "--json", "--data-dir", data_dir).stdout) == {
        "access_key": "AKIANEW", "secret_key": "new-secret"}
    done = maxiofs("root", "reset", "--data-dir", data_dir, MAXIOFS_ROOT_ACCESS_KEY="admin", MAXIOFS_ROOT_SECRET_KEY="0123456789")
    assert done.returncode == 1 and "MAXIOFS_ROOT_ACCESS_KEY" in done.stderr


def test_version():
    assert maxiofs("version").stdout.startswith("MaxIOFS 0.1.0 (python 3.")
    assert json.loads(maxiofs("version", "--json").stdout)["maxiofs"] == "0.1.0"


def test_folders_named_like_ours_do_not_get_in_the_way(tmp_path):
    for name in ("scripts", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(99)")
    assert maxiofs("version", cwd=tmp_path).returncode == 0
