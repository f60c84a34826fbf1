"""The commands of a tuning, played in this process: runs with scores that are known beforehand.

A run is planned by the real command line and recorded in the real store; only its training is left
out, and its score is a closed form of its settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from command_line import in_process
from recorded import epoch_done, scored

from genbench.events import StageStarted
from genbench.spec import RunSpec
from genbench.store import Recorder, Store
from genbench.work.children import Command, Ended

PACE = {"earlier_s": 1.0, "epoch_s": 0.5, "warm_s": 0.0, "later_s": 0.0}


@dataclass(kw_only=True)
class Stage:
    """Stands in for `genbench.work.children.carry_out`; ``played`` has the words of all commands,
    and ``said`` what the tuning has said before the last of them.

    ``score(spec, share)`` is the score after that share of the training; for None the run fails.
    """

    capsys: pytest.CaptureFixture[str]
    score: Callable[[RunSpec, float], float | None]
    played: list[tuple[str, ...]] = field(default_factory=list)
    said: str = ""

    def carry_out(
        self,
        commands: Iterable[Command],
        *,
        at_once: int,
        should_stop: Callable[[], bool],
        ended: Callable[[Ended], Iterable[Command] | None],
    ) -> bool:
        waiting = list(commands)
        while waiting and not should_stop():
            command = waiting.pop(0)
            self.played.append(command.arguments)
            code, answer, error = self.play(command)
            end = Ended(command=command, code=code, answer=answer, error=error, seconds=0.0)
            waiting = [*(ended(end) or ()), *waiting]
        return not waiting

    def play(self, command: Command) -> tuple[int, dict[str, Any], str]:
        """The exit code, the answer and the error message of one command."""
        words = [word for word in command.arguments if word != "--json"]
        if words[0] == "pace":
            return 0, {"pace": PACE}, ""
        url = command.environ["GENBENCH_STORE"]
        if words[0] == "resume":
            with Store.open(url) as store:
                spec = RunSpec.from_json(store.take_over(words[1]).spec)
                return self._train(store, words[1], spec, command)
        self.said += self.capsys.readouterr().err
        code = in_process(*words, "--dry-run", "--json")
        said = self.capsys.readouterr()
        if code:
            return code, {}, said.err.removeprefix("genbench: error: ").strip()
        spec = RunSpec.from_json(json.dumps(json.loads(said.out)["spec"]))
        named = {key: words[words.index(f"--{key}") + 1] for key in ("name", "tag")}
        with Store.open(url) as store:
            run = store.create_run(
                spec,
                name=named["name"],
                tags=[named["tag"]],
                stages=[("train", spec.epochs)],
                environment={"host": "here"},
            )
            return self._train(store, run.id, spec, command)

    def _train(
        self, store: Store, run: str, spec: RunSpec, command: Command
    ) -> tuple[int, dict[str, Any], str]:
        with Recorder(store, run) as record:
            record(
                StageStarted(
                    stage="train", index=0, epochs=spec.epochs, steps_per_epoch=20, first_epoch=1
                )
            )
            for epoch in range(1, spec.epochs + 1):
                value = self.score(spec, epoch / spec.epochs)
                if value is None:
                    store.fail(run, "the loss is not finite")
                    return 1, {"run": run}, "the loss is not finite"
                record(epoch_done(epoch))
                between = spec.evaluate_every and epoch % spec.evaluate_every == 0
                if between or epoch == spec.epochs:
                    record(scored(epoch, value))
                if command.enough is not None and command.enough():
                    store.interrupt(run)
                    return 130, {"run": run}, ""
        store.finish(run)
        return 0, {"run": run}, ""
