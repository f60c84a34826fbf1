"""The built-in launchers of workers: on this machine, by Slurm and by Ray (docs/scale.md).

The last two need packages that genbench doesn't depend on: ``pip install 'genbench[slurm]'`` and
``pip install 'genbench[ray]'``.
"""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_launchers(register: genbench.Register) -> None:
    """Register the built-in launchers."""
    register(
        "local",
        "genbench_launchers.local:Local",
        family="this machine",
        summary="processes on this machine that go on when the terminal is closed",
    )
    register(
        "slurm",
        "genbench_launchers.slurm:Slurm",
        settings="genbench_launchers.slurm:SlurmSettings",
        family="cluster",
        summary="a job array of Slurm, which is requeued at its time limit; uses submitit",
        source="https://github.com/facebookincubator/submitit",
    )
    register(
        "ray",
        "genbench_launchers.ray:Ray",
        settings="genbench_launchers.ray:RaySettings",
        family="cluster",
        summary="actors of Ray, which are started again when they die",
        source="https://docs.ray.io",
    )
