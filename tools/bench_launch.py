"""Run a command a few times; print seconds, processor time and peak memory of one run as JSON.

    python -I -S tools/bench_launch.py TIMES COMMAND [ARGUMENT ...]

A process of its own, because the peak that Linux reports for a child starts at the size of its parent.
"""

import os
import sys
import time

times, command = int(sys.argv[1]), sys.argv[2:]
seconds = processor = peak = 0.0
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
for _ in range(times):
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    status, usage = os.wait4(child, 0)[1:]
    seconds += time.perf_counter() - start
    processor += usage.ru_utime + usage.ru_stime
    peak = max(peak, usage.ru_maxrss / 1024)
    if status:
        sys.exit(f"{' '.join(command)} failed with status {status}")
print(f'{{"seconds": {seconds / times}, "processor": {processor / times}, "mib": {peak}}}')
