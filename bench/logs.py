"""From a line being written by a job to a reader of ``lepton run`` having it, in milliseconds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

# Both clocks are CLOCK_MONOTONIC of one host, so the difference is the way of the line and nothing else.
_JOB = "import time\nfor _ in range({lines}):\n    time.sleep(0.05)\n    print(time.monotonic_ns(), flush=True)\n"


def main(lines: int = 100) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "lepton_sdk",
            "run",
            "--no-workdir",
            "--",
            sys.executable,
            "-c",
            _JOB.format(lines=lines),
        ]
        variables = os.environ | {"LEPTON_SDK_STATE": f"{folder}/state", "LEPTON_SDK_CACHE": f"{folder}/cache"}
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        ways = [(time.monotonic_ns() - int(line)) / 1e6 for line in process.stdout]
        process.wait()
    ways.sort()
    middle, late = statistics.median(ways), ways[int(len(ways) * 0.99) - 1]
    print(f"{len(ways)} lines: median {middle:.1f} ms, 99th percentile {late:.1f} ms, most {ways[-1]:.1f} ms (bound 50 ms)")


if __name__ == "__main__":
    main()
