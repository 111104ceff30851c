#!/bin/sh
# sh scripts/setup.sh run|dev: make .venv ready to run lepton (run), or to change and test it (dev).
# Quick when nothing has changed. LEPTON_PYTHON names the interpreter to use.
set -eu
cd "$(dirname "$0")/.."
profile=${1:-dev}

say() { echo "setup: $*" >&2; }
die() { say "$@"; exit 1; }
fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

[ -f "requirements/$profile.txt" ] || die "no profile is called '$profile'; say run or dev"

find_python() {
    for python in ${LEPTON_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        fits "$python" && return
    done
    die "${LEPTON_PYTHON:-python3} is not Python 3.11 or newer; install one and name it in LEPTON_PYTHON"
}

# What this profile needs from the system and does not find, as Debian packages.
missing_packages() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')-venv"
    [ "$profile" = dev ] || return 0
    command -v git >/dev/null || echo git
    echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1 || echo gcc libc6-dev
    # Tests meet a real sshd and a real PostgreSQL, on hosts with little on them, behind cables that can be cut.
    [ -x /usr/sbin/sshd ] || echo openssh-server
    command -v ssh >/dev/null || echo openssh-client
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo postgresql
    command -v busybox >/dev/null || echo busybox-static
    # The protocol is searched whole by a model checker.
    command -v spin >/dev/null || echo spin
    command -v mpicc >/dev/null || echo openmpi-bin libopenmpi-dev
    [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || echo iproute2
    command -v rsync >/dev/null || echo rsync
    ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || echo faketime
    # podman by itself brings crun, which cannot start a container inside a container; runc can.
    command -v podman >/dev/null || echo podman
    command -v runc >/dev/null || [ -x /usr/sbin/runc ] || echo runc
    [ -n "${TORCHRUN:-}" ] || command -v torchrun >/dev/null || echo python3-torch
    # It starts a service, which is nobody's wish on a desk.
    [ -z "${CI:-}" ] || command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || echo docker.io
}

install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

install_packages() {
    command -v apt-get >/dev/null || return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        return 0
    fi
    say "installing $*"
    $as_root apt-get update -qq >/dev/null || true
    # One that this system does not know, or cannot fetch, must not cost the others.
    install "$@" || for package; do install "$package" || true; done
}

ready_system() {
    packages=$(missing_packages | xargs)
    [ -z "$packages" ] && return
    install_packages $packages
    packages=$(missing_packages | xargs)
    case $packages in
    *-venv*) die "missing: $packages; as root: apt-get install $packages" ;;
    ?*) say "missing: $packages; the tests that need them are skipped; as root: apt-get install $packages" ;;
    esac
}

# A change of any of these makes the environment stale.
checksum() { { cat "requirements/$1.txt" pyproject.toml plugins/*/pyproject.toml scripts/setup.sh; pwd; "$python" -V; } | cksum; }
is_ready() { [ -x .venv/bin/lepton ] && [ "$(cat ".venv/ready-$1" 2>/dev/null)" = "$(checksum "$1")" ]; }

make_environment() {
    say "making .venv with $("$python" -V) for '$profile'; this takes a minute"
    rm -f .venv/ready-*
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv .venv
    set -- .
    for plugin in plugins/*/; do set -- "$@" -e "$plugin"; done
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    .venv/bin/python -m pip install -qq --require-hashes --only-binary :all: -r "requirements/$profile.txt"
    .venv/bin/python -m pip install -qq --no-deps --no-build-isolation -e "$@"
    checksum "$profile" >".venv/ready-$profile"
}

find_python
ready_system
# What is ready for changes is ready to run: both files pin the same versions.
is_ready dev || is_ready "$profile" || make_environment
