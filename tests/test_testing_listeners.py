"""The contract kit's laws of listeners: a sound one passes, and each law catches one that errs."""

from __future__ import annotations

import sqlite3
import threading
import time
from types import ModuleType

import pytest

import genbench
from genbench import EpochDone, Event, StartedRun
from genbench.testing import check_listener, check_plugin


class Sound:
    """Writes the epochs into a database that belongs to one thread, as SQLite's do."""

    def __init__(self, settings: genbench.Settings) -> None:
        self.settings = settings

    def begin(self, run: StartedRun) -> None:
        self.database = sqlite3.connect(run.folder / "heard.db")
        self.database.execute("CREATE TABLE IF NOT EXISTS heard (epoch, losses)")

    def hear(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            row = (event.epoch, str(event.losses))
            self.database.execute("INSERT INTO heard VALUES (?, ?)", row)

    def end(self, status: str) -> None:
        self.database.commit()
        self.database.close()


class RaisesInABegin(Sound):
    def begin(self, run: StartedRun) -> None:
        raise ZeroDivisionError("no such tool")


class RaisesAtAnEpoch(Sound):
    def hear(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            raise SystemExit(3)


class ForgetsThatARunMayBeResumed(Sound):
    def begin(self, run: StartedRun) -> None:
        super().begin(run)
        if run.resumed:
            raise FileExistsError("heard.db")


class ForgetsThatARunMayFail(Sound):
    def end(self, status: str) -> None:
        {"finished": 0, "interrupted": 1}[status]
        super().end(status)


class ChangesAnEvent(Sound):
    def hear(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            event.losses.clear()


class ChangesTheSettings(Sound):
    def begin(self, run: StartedRun) -> None:
        super().begin(run)
        run.params.pop("seed")


class IsSlow(Sound):
    def hear(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            time.sleep(0.11)


class NeverReturns(Sound):
    def end(self, status: str) -> None:
        super().end(status)
        threading.Event().wait()


class NeverReturnsAndCatchesEverything(Sound):
    def hear(self, event: Event) -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:
                continue


class LeavesAThread(Sound):
    stop = threading.Event()

    def begin(self, run: StartedRun) -> None:
        super().begin(run)
        self.stop.clear()
        threading.Thread(target=self.stop.wait, name="sender").start()


class HasNoEnd:
    def __init__(self, settings: genbench.Settings) -> None:
        pass

    def begin(self, run: StartedRun) -> None:
        pass

    def hear(self, event: Event) -> None:
        pass


class CannotBeBuilt(Sound):
    def __init__(self, settings: genbench.Settings) -> None:
        raise genbench.UsageError("it needs the package 'tool'", hint="pip install tool")


def test_a_sound_listener_passes():
    check_listener(Sound)


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (RaisesInABegin, r"begin\(\) of a new run raises ZeroDivisionError: no such tool"),
        (RaisesAtAnEpoch, r"hear\(EpochDone\) raises SystemExit"),
        (ForgetsThatARunMayBeResumed, r"begin\(\) of a resumed run raises FileExistsError"),
        (ForgetsThatARunMayFail, r"end\('failed'\) raises KeyError"),
        (ChangesAnEvent, r"hear\(EpochDone\) changes what it is given"),
        (ChangesTheSettings, r"begin\(\) of a new run changes what it is given"),
        (IsSlow, r"hear\(EpochDone\) takes 0\.11 s, and the training waits"),
        (NeverReturns, r"end\('finished'\) has not returned after 0\.2 s"),
        (NeverReturnsAndCatchesEverything, r"hear\(StageStarted\) has not returned after 0\.2 s"),
        (LeavesAThread, r"thread 'sender' still runs after end\(\)"),
        (HasNoEnd, r"HasNoEnd has no method 'end'; a listener has begin\(run\), hear\(event\)"),
        (CannotBeBuilt, r"its constructor raises UsageError: it needs the package 'tool'"),
    ],
)
def test_what_a_listener_does_wrong_is_said_in_a_sentence(listener, words, monkeypatch):
    monkeypatch.setattr("genbench.testing.listeners.GRACE_S", 0.05)
    patience_s = 0.2 if "Never" in listener.__name__ else 30.0
    with pytest.raises(AssertionError, match=words):
        check_listener(listener, patience_s=patience_s)
    LeavesAThread.stop.set()


@pytest.mark.parametrize(("target", "is_sound"), [("Sound", True), ("ChangesAnEvent", False)])
def test_check_plugin_tries_the_listeners_of_the_plugin(target, is_sound):
    plugin = ModuleType("ears")

    @genbench.hookimpl
    def genbench_register_listeners(register):
        register("ear", f"{__name__}:{target}", summary="hears")

    plugin.genbench_register_listeners = genbench_register_listeners
    if is_sound:
        check_plugin(plugin)
        return
    with pytest.raises(AssertionError, match=r"ear: .* changes what it is given"):
        check_plugin(plugin)
