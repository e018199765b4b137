"""How things are timed: in turn, each in a process of its own, while the machine is otherwise idle.

A round takes one sample of every contender: A B C A B C. Before a sample the harness waits for idle processors;
a sample during which other processes used more than `DISTURBED` of a core is taken again, up to `TRIES` times, and
the least disturbed one is kept. A ratio is the median of the ratios within the rounds.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = ROOT / "tools" / "bench_launch.py"
DISTURBED = 0.15  # of a core
TRIES = 3
PATIENCE = 8.0  # seconds to wait for idle processors before a sample
MARK = "BENCH "
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}

Figures = Mapping[str, float]


class Contender(Protocol):
    """Something to time."""

    name: str

    def sample(self) -> Figures:
        """Run once; gives seconds by what was timed, and `processor`, the time that it took itself."""


@dataclass(frozen=True)
class Command:
    """A command, started anew for each sample.

    Attributes:
        name: what the table calls it.
        arguments: the command.
        times: how often a sample runs it; more for short ones.
        prepare: is called before each sample.
    """

    name: str
    arguments: Sequence[str | Path]
    times: int = 1
    prepare: Callable[[], object] = lambda: None

    def sample(self) -> Figures:
        """Seconds and `mib`, the peak of resident memory."""
        self.prepare()
        return launch(self.arguments, self.times)


def launch(arguments: Sequence[str | Path], times: int = 1, **environment: str) -> dict[str, float]:
    """Run a command; gives `seconds`, `processor` and `mib` of one run."""
    command = [sys.executable, "-I", "-S", LAUNCH, str(times), *arguments]
    done = subprocess.run(
        command, env=ENVIRONMENT | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


class Worker:
    """A process that stays, loads what it needs once, and takes a sample for every line that it is sent."""

    def __init__(self, name: str, script: str, *arguments: str | Path) -> None:
        self.name = name
        command = [sys.executable, str(ROOT / "tools" / script), *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "BENCH_QUIET" in os.environ else None,
            text=True,
        )
        self.facts = self._answer()

    def sample(self) -> Figures:
        """Ask for one sample."""
        assert self.process.stdin
        self.process.stdin.write("sample\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Figures:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(MARK):
                answer: Figures = json.loads(line[len(MARK) :])
                return answer
        raise RuntimeError(f"the worker for {self.name} ended with {self.process.wait()}")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def serve(sample: Callable[[], dict[str, float]], **facts: object) -> None:
    """The other end of `Worker`: say that all is loaded, then answer every line with a sample."""
    print(MARK + json.dumps(facts), flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        figures = sample()
        figures["processor"] = time.process_time() - start
        print(MARK + json.dumps(figures), flush=True)


@dataclass
class Round:
    """Samples in turn.

    Attributes:
        samples: by contender, one per round.
        taken: number of samples kept.
        disturbed: how many of them stayed disturbed.
    """

    samples: dict[str, list[Figures]] = field(default_factory=dict)
    taken: int = 0
    disturbed: int = 0

    def median(self, name: str, key: str = "seconds") -> float:
        """The median of a figure."""
        return statistics.median(sample[key] for sample in self.samples[name])

    def peak(self, name: str) -> float:
        """Largest resident memory, MiB."""
        return max(sample["mib"] for sample in self.samples[name])

    def ratios(self, peer: str, name: str, key: str = "seconds") -> "Ratio":
        """How many times faster than a peer, round by round."""
        pairs = zip(self.samples[peer], self.samples[name], strict=True)
        return Ratio(tuple(theirs[key] / ours[key] for theirs, ours in pairs))


@dataclass(frozen=True)
class Ratio:
    """Ratios of the rounds."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """Their median."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({min(self.values):.2f}-{max(self.values):.2f})"


def interleave(contenders: Sequence[Contender], rounds: int) -> Round:
    """Take samples of all contenders in turn."""
    result = Round({contender.name: [] for contender in contenders})
    for _ in range(rounds):
        for contender in contenders:
            figures, others = _undisturbed(contender)
            result.samples[contender.name].append(figures)
            result.taken += 1
            result.disturbed += others > DISTURBED
    return result


def _undisturbed(contender: Contender) -> tuple[Figures, float]:
    """The least disturbed of a few samples, and how much of a core other processes used meanwhile."""
    best: tuple[Figures, float] | None = None
    for _ in range(TRIES):
        wait_idle()
        busy, own, start = _busy(), _own(), time.perf_counter()
        figures = contender.sample()
        seconds = time.perf_counter() - start
        own = _own() - own + (figures["processor"] if isinstance(contender, Worker) else 0)
        others = max(0.0, _busy() - busy - own) / seconds
        if best is None or others < best[1]:
            best = figures, others
        if others <= DISTURBED:
            break
    assert best
    return best


def wait_idle() -> None:
    """Wait until other processes use less than `DISTURBED` of a core, but not forever."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        busy, start = _busy(), time.perf_counter()
        time.sleep(0.25)
        if (_busy() - busy) / (time.perf_counter() - start) < DISTURBED:
            return


def _busy() -> float:
    """Processor seconds used on the machine since it started, by everyone."""
    user, nice, system, _, _, interrupts, soft, *_ = map(
        int, Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Processor seconds of this process and its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
