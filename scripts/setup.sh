# Sourced by run, test and maxiofs: a virtual environment with exactly what a lock file says.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)
VENV=$ROOT/.venv

say() { printf '%s\n' "$*" >&2; }

# The first Python >= 3.11 that can make virtual environments; else the first that is new enough.
find_python() {
    local candidate new_enough=""
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python3.14; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        if has_venv "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
        new_enough=${new_enough:-$candidate}
    done
    if [ -z "$new_enough" ]; then
        say "MaxIOFS needs Python 3.11 or newer; this machine has $(python3 --version 2>/dev/null || echo 'no python3')."
        say "On Debian 12 or Ubuntu 24.04 and newer: apt-get install python3 python3-venv. Or name one: PYTHON=/path/to/python3.11"
        return 1
    fi
    printf '%s\n' "$new_enough"
}

has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Debian splits venv off: python3-venv for its own python3, python3.12-venv for another one.
install_venv_package() {
    local python=$1 package=python3-venv install version
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if [ "$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])' 2>/dev/null)" != "$version" ]; then
        package=$version-venv
    fi
    install="apt-get install -y $package"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing $package ..."
        apt_quietly update || true
        apt_quietly install -y --no-install-recommends "$package" || true
    fi
    if ! has_venv "$python"; then
        say "This Python cannot make virtual environments. Type this line, then try again:"
        say "    sudo $install"
        return 1
    fi
}

apt_quietly() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >/dev/null; }

# What an installed environment is made from: the lock file, the interpreter, and the place (scripts hold absolute paths).
fingerprint() { printf '%s %s %s\n' "$(sha256sum <"$ROOT/$1")" "$(readlink -f "$VENV/bin/python")" "$VENV"; }

is_current() { [ -x "$VENV/bin/python" ] && [ -x "$VENV/bin/maxiofs" ] && [ "$(cat "$VENV/$1.stamp" 2>/dev/null)" = "$(fingerprint "$1")" ]; }

# set_up LOCK_FILE: make .venv hold what the lock file says. Does nothing (10 ms) when it does already.
set_up() {
    is_current "$1" && return
    mkdir -p "$VENV"
    (
        command -v flock >/dev/null && flock 9      # two at once: the second waits, and then finds everything done
        is_current "$1" || build_environment "$1"
    ) 9>"$VENV/.lock"
}

build_environment() {
    local lock=$1 python
    if ! "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        has_venv "$python" || install_venv_package "$python" || exit 1
        say "Creating .venv with $("$python" --version) ..."
        find "$VENV" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
        "$python" -m venv "$VENV" || { say "Could not create $VENV"; exit 1; }
    fi
    say "Installing what $lock lists ..."
    rm -f "$VENV"/*.stamp
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$ROOT/$lock" </dev/null \
        || { say "Could not install what $lock lists; see the lines above"; exit 1; }
    write_command
    fingerprint "$lock" >"$VENV/$lock.stamp"
    # The lock of the tests holds everything of the other one, in the same versions (a test says so).
    if [ "$lock" = requirements-test.lock ]; then fingerprint requirements.lock >"$VENV/requirements.lock.stamp"; fi
}

# .venv/bin/maxiofs: the command line, from any folder.
write_command() {
    cat >"$VENV/bin/maxiofs.new" <<'END'
#!/bin/sh
# The maxiofs command; written by scripts/setup.sh.
bin=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$bin")")
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$bin/python" -P -m scripts.cli "$@"
END
    chmod 755 "$VENV/bin/maxiofs.new"
    mv "$VENV/bin/maxiofs.new" "$VENV/bin/maxiofs"
}
