"""Train one experiment with several seeds: together as one stack, or one after the other.

Either way each seed is a run of its own in the store, with its checkpoints, and is scored at its
end. Runs that are trained together say so in their environment, and an error of one of them ends
that one only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum

from genbench.contracts import DataAccess
from genbench.engine import (
    GroupedRun,
    drop_training_state,
    train_together,
    try_together,
    using_threads,
)
from genbench.errors import GenbenchError, InterruptedRunError
from genbench.evaluation.job import Job
from genbench.events import Listener, Noticed, ShouldStop, never
from genbench.formatting import counted, number
from genbench.registry import Registry
from genbench.runner.checkpoints import identity
from genbench.runner.listening import build_listeners
from genbench.runner.recording import Recording, recorded
from genbench.runner.train_run import assemble, create, run
from genbench.spec import Part, RunSpec, device_names
from genbench.store import Store
from genbench.store.records import TOGETHER, Run

FASTER = 0.9
"""The ratio of times below which training together is worth it."""


class Together(StrEnum):
    """When seeds are trained together."""

    NEVER = "never"
    IF_FASTER = "if faster"
    IF_POSSIBLE = "if possible"


@dataclass
class SeedsDone:
    """The runs of all seeds that were started, and the errors of those that failed, by id.

    In a grid, ``sets`` has the settings by id in which its runs differ.
    """

    runs: list[Run] = field(default_factory=list)
    errors: dict[str, GenbenchError] = field(default_factory=dict)
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    together: bool = False


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Who is told of the runs: ``alone`` and ``grouped`` give the listeners of a run.

    ``tell`` gets what is said before a run begins, and ``begin`` the runs that are trained together
    once all of them are in the store.
    """

    alone: Callable[[Run], Sequence[Listener]]
    grouped: Callable[[Run], Sequence[Listener]]
    tell: Listener
    begin: Callable[[Sequence[Run]], None]


def run_seeds(
    spec: RunSpec,
    seeds: Sequence[int],
    *,
    together: Together,
    registry: Registry,
    store: Store,
    access: DataAccess,
    watching: Watching,
    name: str | None = None,
    tags: Sequence[str] = (),
    listen: Sequence[Part] = (),
    should_stop: ShouldStop = never,
    done: SeedsDone | None = None,
) -> SeedsDone:
    """Train and score a spec with each of the seeds, as new runs of ``store``.

    A run is called ``name-SEED``. ``done`` is filled as runs are started, so that it is known after
    an error too. Raises InterruptedRunError, and errors before the first run is in the store; the
    error of a single run is part of what is returned.
    """
    done = SeedsDone() if done is None else done
    many = _Seeds(spec, seeds, registry, store, access, watching, name, tags, listen, should_stop)
    store.check_names([many.name_of(seed) for seed in seeds])
    jobs = many.jobs_to_train_together(together) if together is not Together.NEVER else []
    if jobs:
        done.together = True
        with using_threads(spec.threads):
            many.train_together(jobs, done)
    else:
        many.train_one_by_one(done)
    done.runs = [store.run(made.id) for made in done.runs]
    return done


@dataclass
class _Seeds:
    """The arguments of `run_seeds`."""

    spec: RunSpec
    seeds: Sequence[int]
    registry: Registry
    store: Store
    access: DataAccess
    watching: Watching
    name: str | None
    tags: Sequence[str]
    listen: Sequence[Part]
    should_stop: ShouldStop

    def name_of(self, seed: int) -> str | None:
        """The name of the run of a seed, if the runs get names."""
        return f"{self.name}-{seed}" if self.name else None

    # --- one after the other

    def train_one_by_one(self, done: SeedsDone) -> None:
        """Train every seed alone; a run that fails doesn't stop the others."""
        for seed in self.seeds:
            before = len(done.runs)
            told: list[Listener] = []

            def started(made: Run, told: list[Listener] = told) -> None:
                done.runs.append(made)
                told.extend(self.watching.alone(made))

            def tell(event: object, told: list[Listener] = told) -> None:
                for listener in told or [self.watching.tell]:
                    listener(event)  # type: ignore[arg-type]

            try:
                run(
                    replace(self.spec, seed=seed),
                    registry=self.registry,
                    store=self.store,
                    access=self.access,
                    name=self.name_of(seed),
                    tags=self.tags,
                    listen=self.listen,
                    listeners=[tell],
                    should_stop=self.should_stop,
                    started=started,
                )
            except InterruptedRunError:
                raise
            except GenbenchError as error:
                if len(done.runs) == before:  # it would meet every other seed as well
                    raise
                done.errors[done.runs[-1].id] = error

    # --- together

    def jobs_to_train_together(self, together: Together) -> list[Job]:
        """The runs that are ready to be trained together; none, with a notice, if they can't be."""
        if len(self.seeds) < 2:
            return []
        if len(device_names(self.spec.device)) > 1:
            self._notice("trained one after the other: each run is split over several devices")
            return []
        jobs: list[Job] = []
        for seed in self.seeds:
            spec = replace(self.spec, seed=seed)
            data = jobs[0].data if jobs else None
            jobs.append(
                assemble(spec, self.registry, self.store, self.access, self.should_stop, data=data)
            )
        trial = try_together(
            [job.model for job in jobs], jobs[0].data, [job.spec for job in jobs], jobs[0].device
        )
        if trial.refusal:
            self._notice(f"trained one after the other: {trial.refusal}")
            return []
        ratio = trial.ratio or 1.0
        measured = f"a step of all {len(jobs)} takes {number(ratio, 2)} × the time of one by one"
        if together is Together.IF_FASTER and ratio > FASTER:
            self._notice(f"trained one after the other: {measured}")
            return []
        slower = "; without --together they are faster" if ratio > 1 else ""
        self._notice(f"trained together: {measured}{slower}")
        return jobs

    def train_together(self, jobs: Sequence[Job], done: SeedsDone) -> None:
        """Train and score the runs of a group; see `genbench.engine.train_together`."""
        group: list[_Grouped] = []
        try:
            for job in jobs:
                group.append(self._begin(job, done))
            self.watching.begin([grouped.recording.made for grouped in group])
            train_together(
                [grouped.training for grouped in group],
                jobs[0].data,
                device=jobs[0].device,
                should_stop=self.should_stop,
            )
            for grouped in group:
                grouped.finish()
        except BaseException as error:
            for grouped in group:
                grouped.end(error)
            if isinstance(error, InterruptedRunError | KeyboardInterrupt):
                raise _interrupted(
                    self.store, [grouped.recording.made for grouped in group]
                ) from None
            if not isinstance(error, Exception) or not group:
                raise
        done.errors.update({g.recording.made.id: g.error for g in group if g.error is not None})

    def _begin(self, job: Job, done: SeedsDone) -> _Grouped:
        seed = job.spec.seed
        plugins = build_listeners(self.listen, self.registry)
        made = create(
            job,
            self.registry,
            self.store,
            name=self.name_of(seed),
            tags=self.tags,
            facts={TOGETHER: list(self.seeds)},
        )
        done.runs.append(made)
        life = ExitStack()
        recording = life.enter_context(
            recorded(
                job,
                made,
                self.registry,
                self.store,
                self.watching.grouped(made),
                plugins,
                self.should_stop,
                resume=False,
            )
        )
        return _Grouped(recording, life)

    def _notice(self, message: str) -> None:
        self.watching.tell(Noticed(message=f"{counted(len(self.seeds), 'seed')}: {message}"))


@dataclass
class _Grouped:
    """One run of a group, from its row in the store to its end; ``life`` is its recording."""

    recording: Recording
    life: ExitStack
    error: GenbenchError | None = None
    ended: bool = False

    @property
    def training(self) -> GroupedRun:
        """What the engine needs of it."""
        job = self.recording.job
        return GroupedRun(
            model=job.model,
            spec=job.spec,
            folder=self.recording.folder,
            emit=self.recording.emit,
            failed=self.end,
            between_epochs=self.recording.between_epochs,
            identity=identity(self.recording.made),
        )

    def finish(self) -> None:
        """Score the run and mark it as finished, unless it has failed; its own errors end it."""
        if self.ended:
            return
        try:
            self.recording.score()
        except (InterruptedRunError, KeyboardInterrupt):
            raise
        except Exception as error:  # as in `ending`: any error is one of this run
            self.end(error)
            return
        self.ended = True
        self.life.close()
        drop_training_state(self.recording.folder)
        self.recording.store.publish(self.recording.made.id)

    def end(self, error: BaseException) -> None:
        """End the run with an error, unless it has ended: its recording stores how."""
        if self.ended:
            return
        self.ended = True
        try:
            self.life.__exit__(type(error), error, error.__traceback__)
        except GenbenchError as told:
            self.error = told
        else:
            self.error = error if isinstance(error, GenbenchError) else None


def _interrupted(store: Store, runs: Sequence[Run]) -> InterruptedRunError:
    stopped = [made.id for made in runs if store.run(made.id).status == "interrupted"]
    if not stopped:
        return InterruptedRunError("interrupted before the training began; nothing was stored")
    verb = "are" if len(stopped) > 1 else "is"
    return InterruptedRunError(
        f"{counted(len(stopped), 'run')} {verb} interrupted: {', '.join(stopped)}",
        hint=f"To resume one, alone: genbench resume {stopped[0]}",
    )
