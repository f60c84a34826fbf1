"""A Slurm of one node for tests: munge, a controller and a daemon of its own in one folder.

Debian's packages are enough (``apt-get install slurm-wlm munge``), and no service of the machine is
used or changed. The programs run as the current user.
"""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
START_S = 120.0
"""Seconds that the node gets to become idle [2 s on an idle machine]."""

# Without accounting, and without control groups: a container has neither.
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
JobRequeue=1
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Sockets=1 CoresPerSocket=4 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def skip_without_slurm() -> None:
    """Skip the test, with the reason, where the packages are missing."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=PATH)]:
        pytest.skip(f"no {missing[0]} here: apt-get install slurm-wlm munge")


@contextmanager
def one_node_slurm() -> Iterator[Path]:
    """Start it; gives the file that ``SLURM_CONF`` is to name. Ends with the block."""
    # The path of a socket is short, and a folder of pytest may be too long for it.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, ExitStack() as programs:
        folder, conf = Path(name), Path(name) / "slurm.conf"
        (folder / "state").mkdir()
        (folder / "key").write_bytes(secrets.token_bytes(128))
        (folder / "key").chmod(0o600)
        conf.write_text(
            CONF.format(
                host=platform.node().partition(".")[0],
                user=getpass.getuser(),
                folder=folder,
                ports=free_ports(2),
            )
        )
        files = ("key", "pid", "log", "seed")
        munge = [f"--{file}-file={folder}/{file}" for file in files]
        started = [
            ("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge),
            ("slurmctld", "-D", "-i", "-f", str(conf)),
            ("slurmd", "-D", "-f", str(conf)),
        ]
        for command in started:
            programs.enter_context(running(command, folder))
        wait_until_idle(conf, folder)
        yield conf
        # Jobs are children of the daemon's own processes, which would go on without it.
        subprocess.run(
            [str(shutil.which("scancel", path=PATH)), f"--user={getpass.getuser()}"],
            env={**os.environ, "SLURM_CONF": str(conf)},
        )
        wait_until_idle(conf, folder)


def free_ports(count: int) -> list[int]:
    """Numbers of ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[None]:
    """A program in the foreground, which is terminated at the end."""
    program = shutil.which(command[0], path=PATH)
    with (folder / f"{command[0]}.txt").open("wb") as log:
        process = subprocess.Popen([str(program), *command[1:]], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_idle(conf: Path, folder: Path) -> None:
    """Wait until the node takes jobs."""
    deadline = time.monotonic() + START_S
    command = [str(shutil.which("sinfo", path=PATH)), "--noheader", "--format=%t"]
    while True:
        env = {**os.environ, "SLURM_CONF": str(conf)}
        state = subprocess.run(command, env=env, capture_output=True, text=True).stdout.strip()
        if state == "idle":
            return
        said = "\n".join(path.read_text()[-1500:] for path in folder.glob("*.txt"))
        assert time.monotonic() < deadline, f"the node is '{state}':\n{said}"
        time.sleep(0.2)
