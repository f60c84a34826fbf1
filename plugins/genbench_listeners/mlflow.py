"""MLflow: each run is an MLflow run of the same name, found again by its id when it is resumed.

Only the client is used: genbench neither reads nor sets MLflow's active run.
"""

from __future__ import annotations

import logging
import re
import time

from genbench import ArtifactMade, Event, StartedRun, Warned
from genbench_listeners.settings import MLflowSettings
from genbench_listeners.values import Values, needs, title

ID = "genbench.run"
"""The tag of an MLflow run that holds genbench's id."""
AT_ONCE, PARAMETERS_AT_ONCE = 1_000, 100
"""What MLflow takes in one request, at most."""
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MLflow:
    """Settings as parameters, losses and scores as metrics, files as artifacts."""

    def __init__(self, settings: MLflowSettings) -> None:
        needs("mlflow", "mlflow")
        self.settings, self.values = settings, Values()

    def begin(self, run: StartedRun) -> None:
        """Make the MLflow run, or find the one that is continued."""
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.client = MlflowClient(tracking_uri=self.settings.uri or None)
        found = self.client.get_experiment_by_name(self.settings.experiment)
        experiment = (
            found.experiment_id
            if found
            else self.client.create_experiment(self.settings.experiment)
        )
        if run.resumed and (earlier := self._earlier(experiment, run.id)):
            self.id = earlier
            self.client.update_run(self.id, status="RUNNING")
            return
        tags = {ID: run.id, "genbench.store": run.store}
        tags |= {f"genbench.tag.{_key(tag)}": "true" for tag in run.tags}
        made = self.client.create_run(experiment, tags=tags, run_name=title(run))
        self.id = str(made.info.run_id)
        params = [Param(_key(name), str(value)[:500]) for name, value in run.params.items()]
        for i in range(0, len(params), PARAMETERS_AT_ONCE):
            self.client.log_batch(self.id, params=params[i : i + PARAMETERS_AT_ONCE])

    def hear(self, event: Event) -> None:
        """Send one event."""
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        points = self.values.of(event)
        metrics = [Metric(_key(series), value, now, step) for series, step, value in points]
        for i in range(0, len(metrics), AT_ONCE):
            self.client.log_batch(self.id, metrics=metrics[i : i + AT_ONCE])
        if isinstance(event, ArtifactMade) and event.path.is_file():
            self.client.log_artifact(self.id, str(event.path), event.kind)
        elif isinstance(event, Warned):
            self.client.set_tag(self.id, f"genbench.warning.{_key(event.kind)}", event.message)

    def end(self, status: str) -> None:
        """Say how the run ended."""
        self.client.set_terminated(self.id, STATUS[status])

    def _earlier(self, experiment: str, run_id: str) -> str:
        wanted = f"tags.`{ID}` = '{run_id}'"
        found = self.client.search_runs([experiment], filter_string=wanted, max_results=1)
        return str(found[0].info.run_id) if found else ""


def _key(name: str) -> str:
    """A name with the characters that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)[:250]
