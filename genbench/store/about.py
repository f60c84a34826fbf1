"""What each table and view of the store holds, in a sentence; docs/store.md says more.

`genbench export --datasette` writes it for datasette, which shows it above the rows.
"""

from __future__ import annotations

from collections.abc import Mapping

TABLES: Mapping[str, str] = {
    "v_runs": "One row for each run, with the machine on which it ran last.",
    "v_scores": "One row for each final score. Rank only scores of equal protocol_hash together.",
    "v_score_history": "One row for each score at any epoch, with the seconds of training until "
    "then.",
    "v_epochs": "One row for each epoch: seconds, images per second, memory.",
    "v_losses": "The mean of each loss over each epoch; test/... are validation means.",
    "v_stage_seconds": "The seconds of each stage of a run, and of one epoch of it.",
    "v_plugins": "The parts that a run was made with, and their versions.",
    "v_warnings": "The warnings of runs, such as a generator that has collapsed.",
    "v_series": "The recorded points of all series: losses by training step.",
    "experiments": "One row for each experiment: the hash of a spec without its seed.",
    "runs": "One row for each run: identity, status, progress, seconds, and its whole spec.",
    "run_params": "Every setting that decides the numbers of a run, by its flat name.",
    "run_plugins": "The parts that a run was made with, and their versions.",
    "run_environments": "The machine of a run, from a training step on.",
    "run_tags": "The tags of runs.",
    "run_parents": "The runs that a run is built on.",
    "environments": "One row for each distinct machine and set of packages.",
    "stages": "The stages of a run in order, with their seconds.",
    "epochs": "The epochs of a run, with their seconds and memory.",
    "epoch_losses": "The mean of each loss over each epoch.",
    "metric_keys": "The names of series and metrics, with direction and unit.",
    "points": "Recorded values by run, series and step: means over a window of steps.",
    "metric_summary": "First, last, smallest and largest value of each series.",
    "draws": "Draws of samples that were scored: sampler, seconds, diagnostics.",
    "evals": "All scores, with their protocol and their floor.",
    "warnings": "The warnings of runs.",
    "protocols": "How scores were computed, as JSON.",
    "artifacts": "The files of runs, with SHA-256 and size.",
    "tasks": "Commands that workers carry out: what a study or a tuning has enqueued.",
    "task_parents": "The tasks that a task waits for.",
    "task_runs": "The runs that a task made.",
    "tunings": "Searches for settings: the question, as JSON in body.",
    "proposals": "The settings that a tuning proposed, each with the run that tried them.",
    "benches": "What genbench bench has measured, as JSON in body.",
    "schema_version": "The number of the store's schema.",
    "store_info": "The genbench that wrote the store.",
}
"""Every table and view, views first."""

COLUMNS: Mapping[str, str] = {
    "id": "the run, as people see it",
    "run": "the number of the run inside this store",
    "key": "the series or metric: metric_keys.key; in run_params the name of a setting",
    "experiment": "hash of the spec without its seed",
    "digest": "hash of all that decides the numbers",
    "seed": "random seed",
    "status": "queued, running, finished, pruned, failed or interrupted",
    "state": "queued, running, done, failed, cancelled or paused",
    "waiting": "number of parents that are not done",
    "attempts": "how often the task was claimed by a worker that did not end it",
    "paces": "seconds per epoch that pilots have measured, as JSON",
    "confirms": "the number of the trial that this run repeats with another seed; NULL for a trial",
    "notes": "what the sampler has to know of the trial later, as JSON",
    "answer": "what the command of the task printed, as JSON",
    "archived_at": "when the run was archived; NULL if it is listed",
    "note": "a note about the run or the score",
    "metric": "name of the metric",
    "direction": "min or max: what is better; NULL if near the floor is best",
    "value": "the value; NULL if it is not finite",
    "nonfinite": "why a value is NULL: 1 NaN, 2 infinity, 3 minus infinity",
    "std": "standard deviation over draws",
    "n": "number of samples, or of points",
    "draws": "number of draws that a score is averaged over",
    "floor": "the same metric for real images against real images",
    "floor_ratio": "value / floor: 1 is as good as it gets",
    "final": "1 for the score that counts",
    "protocol_hash": "hash of how the score was computed",
    "sampler": "sampler of the samples; empty for a score of the model itself",
    "origin": "run: computed by the run itself; evaluate: added later",
    "step": "training step",
    "epoch": "epoch, from 1, over all stages",
    "stage_epoch": "epoch within its stage",
    "train_s": "seconds of training",
    "eval_s": "seconds of validation on the test split; scores are not in it",
    "wall_s": "seconds in all",
    "prepare_s": "seconds of preparing the data of a stage",
    "cpu_s": "CPU seconds of the process within train_s",
    "execution": "by phase, the updates of the last epoch, how many of them were captured, and why "
    "not all, as JSON",
    "load": "load of the machine, mean of a minute",
    "peak_mem": "peak memory in bytes",
    "images_per_s": "training images per second",
    "created_at": "UTC time",
    "spec": "the whole spec as JSON",
    "body": "JSON",
}
"""Columns with names that do not say everything."""

QUERIES: Mapping[str, tuple[str, str]] = {
    "best_scores": (
        "The best scores on a data set",
        """
SELECT model, preset, seed, sampler, value, direction, floor, id, protocol_hash FROM v_scores
WHERE dataset = :dataset AND metric = :metric AND status = 'finished'
ORDER BY protocol_hash, value IS NULL,
  CASE direction WHEN 'min' THEN value WHEN 'max' THEN -value ELSE abs(value - floor) END""",
    ),
    "seeds": (
        "Mean and range of scores over the seeds of each experiment",
        """
SELECT model, dataset, metric, sampler, count(*) AS seeds, avg(value) AS mean,
  min(value) AS lowest, max(value) AS highest, direction, avg(train_s) AS train_s, protocol_hash
FROM v_scores WHERE status = 'finished'
GROUP BY experiment, model, dataset, metric, sampler, sampler_settings, protocol_hash
ORDER BY dataset, metric, protocol_hash,
  CASE direction WHEN 'min' THEN avg(value) WHEN 'max' THEN -avg(value)
  ELSE avg(abs(value - floor)) END""",
    ),
    "curve": (
        "One series of a run",
        "SELECT step, value FROM v_series WHERE id = :id AND series = :series ORDER BY step",
    ),
    "unfinished": (
        "Unfinished runs, their progress and the reason",
        """
SELECT id, model, dataset, status, epochs_done, epochs_planned, error FROM v_runs
WHERE status <> 'finished' ORDER BY created_at DESC""",
    ),
}
"""Saved queries: name -> title and SQL, with :parameters that datasette asks for."""
