#!/bin/sh
# All set-up, then the main job: train a classifier on this machine, routed, followed and accounted for.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh run
# The job makes its own environment with the first python3 it finds, so let that be one that can.
PATH=$PWD/.venv/bin:$PATH
export PATH
exec lepton run "$@" examples/digits/job.yaml
