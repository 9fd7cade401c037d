"""The shell scripts: set up once, work from any folder, do nothing when nothing changed."""

import os
import re
import shutil
import subprocess
import time

import pytest

from shared.settings import ROOT

SCRIPTS = [ROOT / "scripts" / "run", ROOT / "scripts" / "test", ROOT / "scripts" / "maxiofs", ROOT / "scripts" / "setup.sh",
           ROOT / ".ci" / "run"]

FAKE_PYTHON = """#!/bin/sh
# Answers what setup.sh asks a Python, and writes down what it was told to do.
echo "$*" >>"$FAKE_LOG"
case "$*" in
    *version_info*\\<*) exit ${FAKE_TOO_OLD:-0} ;;
    *"print(\\"python"*) echo python3.12 ;;
    *ensurepip*) [ -z "$FAKE_NO_VENV" ] || exit 1 ;;
    *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"import pip"*) [ -e "$(dirname "$0")/../installed" ] ;;
    *"-m pip install"*) sleep 0.3; touch "$(dirname "$0")/../installed" ;;
    --version) echo Python 3.12.0 ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A copy of the scripts with a Python that only pretends."""
    root = tmp_path / "a project"
    (root / "scripts").mkdir(parents=True)
    for path in SCRIPTS[:4]:
        shutil.copy(path, root / "scripts")
    (root / "requirements.lock").write_text("one==1\n")
    (root / "requirements-test.lock").write_text("one==1\ntwo==2\n")
    python = tmp_path / "bin" / "python3.12"
    python.parent.mkdir()
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return root


def environ(project, **more):
    log = project.parent / "log"
    log.touch()
    return {"PATH": os.environ["PATH"], "PYTHON": str(project.parent / "bin" / "python3.12"), "FAKE_LOG": str(log), **more}


def run(project, *arguments, cwd="/", script="maxiofs", **more):
    return subprocess.run([str(project / "scripts" / script), *arguments], env=environ(project, **more), cwd=cwd, text=True,
                          capture_output=True, timeout=30, stdin=subprocess.DEVNULL)


def calls(project):
    return (project.parent / "log").read_text().splitlines()


def installs(project):
    return [line for line in calls(project) if "-m pip install" in line]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_and_executable(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert path.suffix == ".sh" or os.access(path, os.X_OK)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-x", path], check=True, cwd=ROOT)


def test_the_first_run_installs_and_the_second_does_nothing(project):
    first = run(project, "version")
    assert first.returncode == 0, first.stderr
    [install] = installs(project)
    assert "--require-hashes" in install and install.endswith("requirements.lock")
    before = len(calls(project))
    started_s = time.monotonic()
    assert run(project, "version").returncode == 0
    assert time.monotonic() - started_s < 1
    assert calls(project)[before:] == ["-P -m scripts.cli version"]


def test_run_hands_its_options_to_up(project):
    run(project, "--listen", "127.0.0.1:1", script="run")
    assert calls(project)[-1] == "-P -m scripts.cli up --listen 127.0.0.1:1"


def test_a_changed_lock_is_installed_again(project):
    run(project)
    (project / "requirements.lock").write_text("one==2\n")
    run(project)
    run(project)
    assert len(installs(project)) == 2


def test_the_environment_of_the_tests_serves_the_server_too(project):
    (project / ".ci").mkdir()
    assert run(project, "--no-packages", script="test").returncode == 0
    run(project)
    assert [line.rsplit("/")[-1] for line in installs(project)] == ["requirements-test.lock"]


def test_a_moved_project_is_set_up_again(project):
    run(project)
    moved = project.parent / "elsewhere"
    project.rename(moved)
    assert run(moved).returncode == 0
    assert len(installs(moved)) == 2


def test_two_at_once_install_once(project):
    running = [subprocess.Popen([str(project / "scripts" / "maxiofs"), "version"], env=environ(project), stderr=subprocess.PIPE)
               for _ in range(3)]
    assert [process.communicate()[0] or process.returncode for process in running] == [0, 0, 0]
    assert len(installs(project)) == 1


def test_an_interrupted_set_up_is_taken_up_again(project):
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to("/gone/python3")
    assert run(project).returncode == 0
    assert len(installs(project)) == 1


def test_a_python_without_venv_gets_the_line_to_type(project):
    setup = project / "scripts" / "setup.sh"        # whoever runs this test: be an ordinary user, and know only one Python
    setup.write_text(setup.read_text().replace("id -u", "echo 1000").replace("python3.13 python3.12 python3.11 python3 python3.14", ""))
    done = run(project, FAKE_NO_VENV="yes")
    assert done.returncode == 1
    assert re.search(r"^    sudo apt-get install -y python3(\.12)?-venv$", done.stderr, re.M)
    assert not installs(project)


def test_a_python_that_is_too_old_is_told(project):
    setup = project / "scripts" / "setup.sh"
    setup.write_text(setup.read_text().replace("python3.13 python3.12 python3.11 python3 python3.14", ""))
    done = run(project, FAKE_TOO_OLD="1")
    assert done.returncode == 1 and "needs Python 3.11 or newer" in done.stderr


def test_the_command_works_through_a_link(project, tmp_path):
    run(project)
    link = tmp_path / "maxiofs"
    link.symlink_to(project / ".venv" / "bin" / "maxiofs")
    subprocess.run([link, "settings"], env=environ(project), check=True)
    assert calls(project)[-1] == "-P -m scripts.cli settings"


def test_both_locks_agree_and_have_hashes():
    def pins(name):
        return set(re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / name).read_text(), re.M))
    assert pins("requirements.lock") <= pins("requirements-test.lock")
    for name in ("requirements.lock", "requirements-test.lock"):
        text = (ROOT / name).read_text()
        assert text.count("--hash=sha256:") >= len(pins(name)) > 10
        assert "index-url" not in text and "find-links" not in text


def test_ci_does_not_wait_for_answers():
    text = (ROOT / ".ci" / "run").read_text()
    assert "CI=true" in text and "</dev/null" in text and "scripts/test" in text
