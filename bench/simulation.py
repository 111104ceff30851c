"""What the simulation reaches: schedules per second, pairs of a row's stage and a fault, and how soon a dead node is replaced.

``python bench/simulation.py 2000`` plays two thousand schedules, names every one that broke, and the pairs that none reached.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "simulation"))

from reachable import FAULTS, IMPOSSIBLE, PAIRS, STAGES
from scenes import replaced
from schedule import replay


def main() -> None:
    logging.disable(logging.WARNING)
    first, many = int(sys.argv[2]) if len(sys.argv) > 2 else 0, int(sys.argv[1]) if len(sys.argv) > 1 else 200
    reached: Counter[tuple[str, str]] = Counter()
    began, spent, broken = time.monotonic(), time.process_time(), 0
    for seed in range(first, first + many):
        outcome = replay(seed)
        reached.update(outcome.pairs)
        if outcome.broken:
            broken += 1
            print(f"seed {seed}: {'; '.join(outcome.broken)}", flush=True)
    seconds, spent = time.monotonic() - began, time.process_time() - spent
    print(f"{many} schedules, {broken} broken: {many / seconds:.1f} a second, {many / spent:.1f} a second of one processor")
    _tell_pairs(reached)
    waits = sorted(replaced(seed) for seed in range(20))
    print(
        f"from a node's death to the next create call: median {waits[10]:.0f} s, at most {waits[-1]:.0f} s (virtual, 20 deaths); "
        "5 s of it are the pause before an interrupted job's next attempt, the rest some ten calls of up to 2 s each"
    )


def _tell_pairs(reached: Counter[tuple[str, str]]) -> None:
    """Of the pairs that can be, how many were; and by name those that were not, or that were said to be impossible."""
    counted, everything = set(PAIRS) | set(reached), len(STAGES) * len(FAULTS)
    print(f"pairs of stage and fault: {len(reached)} of {len(counted)} reached; {everything - len(counted)} cannot be:")
    impossible = {pair: why for pair, why in IMPOSSIBLE.items() if pair not in reached}
    for why, pairs in groupby(sorted(impossible, key=lambda pair: (impossible[pair], pair)), key=lambda pair: impossible[pair]):
        stages, faults = zip(*pairs, strict=True)
        print(f"  {', '.join(sorted(set(faults)))} while {', '.join(sorted(set(stages)))}: {why}")
    missed = sorted(counted - set(reached))
    print(f"  not reached: {', '.join(f'{fault} while {stage}' for stage, fault in missed) or 'none'}")
    rarest = sorted(reached.items(), key=lambda one: (one[1], one[0]))[:10]
    print(f"  rarest: {', '.join(f'{fault} while {stage} ({count})' for (stage, fault), count in rarest)}")


if __name__ == "__main__":
    main()
