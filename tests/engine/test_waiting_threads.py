"""PyTorch's waiting threads spin while the cores are free and sleep soon while they are not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from genbench.engine.waiting_threads import (
    CHOSEN,
    INTERVAL_S,
    QUIET_S,
    CoreWatch,
    share_cores,
)

SCRIPT = """
import subprocess, sys, threading, time
import torch
from genbench.engine.waiting_threads import SpareTeam, _libgomp, share_cores, waited_s

torch.set_num_threads(2)
x = torch.zeros(1 << 17)
library = _libgomp()
if library is None or waited_s() is None:
    sys.exit("no libgomp here")

def cpu():
    "CPU seconds of 100 additions by two threads, with 2 ms between them."
    begun = time.process_time()
    for _ in range(100):
        x.add_(1)
        time.sleep(0.002)
    return time.process_time() - begun

cpu()
team = SpareTeam(library)
spinning = cpu()
team.hold()
time.sleep(0.05)
sleeping = cpu()
team.release()
time.sleep(0.05)
again = cpu()
print(spinning, sleeping, again)

names = lambda: [thread.name for thread in threading.enumerate()]
share_cores()
share_cores()
print(names().count("cores"))
others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
end = time.monotonic() + 60
while "spare team" not in names() and time.monotonic() < end:
    x.add_(1)
for other in others:
    other.kill()
print(names().count("spare team"))
"""


def test_while_a_spare_team_is_held_waiting_threads_sleep_soon(tmp_path):
    """CPU seconds tell it: a thread that spins for 2 ms uses them, one that sleeps does not."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_", "MKL_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=kept, capture_output=True, text=True
    )
    if "no libgomp here" in done.stderr:
        pytest.skip("PyTorch's threads are not those of libgomp here")
    assert done.returncode == 0, done.stderr
    seconds, watches, teams = done.stdout.splitlines()
    spinning, sleeping, again = map(float, seconds.split())
    assert sleeping < spinning / 2
    assert sleeping < again / 2
    assert (watches, teams) == ("1", "1")


class Team:
    """Says whether it is held, in place of threads."""

    held = False

    def hold(self):
        self.held = True

    def release(self):
        self.held = False


def test_the_team_is_held_from_the_first_shared_look_until_the_cores_were_free_for_a_while():
    team, waits = Team(), iter([0.0, 0.0, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3])
    watch = CoreWatch(team, lambda: next(waits))
    held = []
    for look in range(7):
        # The first two looks are usual ones, the last ones are further apart.
        watch.look(watch._at + (INTERVAL_S if look < 4 else QUIET_S / 2 + 0.01))
        held.append(team.held)
    assert held == [False, True, True, True, True, False, False]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_user_who_says_how_threads_wait_is_obeyed(monkeypatch, name):
    monkeypatch.setenv(name, "active")
    share_cores()
    assert all(thread.name != "cores" for thread in threading.enumerate())
