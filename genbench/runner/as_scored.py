"""The draw that the final scores of a stored run were computed on, to make its samples again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.errors import UsageError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.spec import Part
from genbench.store import ScoreRecord, Store

_OF_MODEL = "model."
"""The prefix of the model's drawing settings among the sampler settings of a draw."""


@dataclass(frozen=True, kw_only=True)
class ScoredDraw:
    """A scored draw: everything that is needed to repeat it, and the weights that it was made with.

    ``seed`` is the argument of `genbench.evaluation.evaluate`. If scores are means over several
    ``draws``, this is the first of them. ``elsewhere``: metrics with final scores of other draws.
    """

    metrics: tuple[str, ...]
    elsewhere: tuple[str, ...]
    sampler: Part
    drawing: Mapping[str, Any]
    seed: int
    n: int
    draws: int
    epoch: int
    step: int | None

    def __str__(self) -> str:
        """The description of the samples, for a line on stderr."""
        first = f", the first of {self.draws} draws" if self.draws > 1 else ""
        others = f"; other samples have {', '.join(self.elsewhere)}" if self.elsewhere else ""
        return (
            f"{self.n:,} samples by '{self.sampler.name}' with seed {self.seed}{first}, after "
            f"{_weights(self.epoch, self.step)}: the samples of {', '.join(self.metrics)}{others}"
        )

    def check_weights(self, loaded: LoadedRun) -> None:
        """Raise UsageError if the checkpoint of the run has other weights than the scored ones."""
        if (loaded.epoch, loaded.step) != (self.epoch, self.step):
            raise UsageError(
                f"the final scores of run {loaded.id} are those of the weights after "
                f"{_weights(self.epoch, self.step)}, and its checkpoint has the weights after "
                f"{_weights(loaded.epoch, loaded.step)}",
                hint=f"To score these: genbench evaluate {loaded.id}",
            )


def scored_draw(store: Store, run_id: str, sampler: str | None = None) -> ScoredDraw:
    """The draw of the final scores of a run, with a sampler (None: that of the first score).

    If the final scores are of several draws, it is that of the metric which most runs on this data
    set have, as `runs` shows it; of its scores, those of the run itself come first. Raises
    UsageError if there is no such draw, or if an old store doesn't have its seed.
    """
    final = [score for score in store.scores(run_id) if score.final and score.sampler]
    wanted = [score for score in final if sampler in (None, score.sampler)]
    if not wanted:
        there = ", ".join(dict.fromkeys(score.sampler for score in final)) or "none"
        by = f" by '{sampler}'" if sampler else ""
        raise UsageError(
            f"--as-scored: run {run_id} has no final scores of samples{by} (there are: {there})",
            hint=f"To compute them: genbench evaluate {run_id}",
        )
    common = _runs_with(store, store.run(run_id).dataset)
    chosen = min(wanted, key=lambda s: (-common[s.metric], s.metric, s.origin != "run"))
    if chosen.seed is None:
        raise UsageError(
            f"--as-scored: these scores of run {run_id} were stored without their seed, by an old "
            "version of genbench",
            hint=f"To compute them again: genbench evaluate {run_id} --final",
        )
    together = [score for score in wanted if score.draw == chosen.draw]
    here = {score.metric for score in together}
    elsewhere = dict.fromkeys(score.metric for score in wanted if score.metric not in here)
    return _as_draw(together, chosen.seed, tuple(elsewhere))


def _runs_with(store: Store, dataset: str) -> dict[str, int]:
    """Metric -> the number of runs on a data set that have a final score in it."""
    sql = "SELECT metric, count(DISTINCT id) FROM v_scores WHERE dataset = :dataset GROUP BY metric"
    return {str(metric): int(count) for metric, count in store.rows(sql, {"dataset": dataset})}


def _as_draw(scores: list[ScoreRecord], seed: int, elsewhere: tuple[str, ...]) -> ScoredDraw:
    first = scores[0]
    settings = dict(first.sampler_settings)
    of_model = {key: value for key, value in settings.items() if key.startswith(_OF_MODEL)}
    own = {key: value for key, value in settings.items() if key not in of_model}
    return ScoredDraw(
        metrics=tuple(score.metric for score in scores),
        elsewhere=elsewhere,
        sampler=Part(name=first.sampler, settings=own),
        drawing={key.removeprefix(_OF_MODEL): value for key, value in of_model.items()},
        seed=seed,
        n=max(score.n for score in scores),
        draws=max(score.draws for score in scores),
        epoch=first.epoch,
        step=first.step,
    )


def _weights(epoch: int, step: int | None) -> str:
    return f"epoch {epoch}" if step is None else f"step {step:,} of epoch {epoch + 1}"
