"""A worker that follows its work folder: another release there is taken up while it answers."""

from __future__ import annotations

import gc
import logging
import os
import threading
from pathlib import Path

from features.errors import OnePointError
from serving import metrics
from serving.config import WorkFolder
from serving.cores import use_every_core
from serving.logs import FACTS
from serving.passage import Passage
from serving.recommender import Recommender
from serving.releases import WorkerRelease, check_features, leave, open_scorer, report
from serving.shadow import Shadow
from training.models.release import MANIFEST

logger = logging.getLogger("onepoint.serving")
LOOK_S = 1.0


class Follower:
    """Looks at `release/` once a second, in a thread of its own; swaps the recommender's scorer.

    The new release is loaded beside the old one; hashes, golden rows, catalog ids and the published
    features are checked before any request sees it. A release that fails is refused and logged, and
    the old one serves on.
    """

    def __init__(self, recommender: Recommender, work: WorkFolder) -> None:
        self.recommender = recommender
        self.work = work
        self._seen = None if recommender.unsound else _release_stamp(work.release)
        self._settings_seen: tuple[int, int] | None = None
        self._shadow: Shadow | None = None
        self._shadow_asked: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onepoint-follower", daemon=True)

    def start(self) -> None:
        """Say what is served, then follow."""
        metrics.serve_release(self.recommender.scorer.release)
        self._report()
        self._look_for_a_shadow()
        self._thread.start()

    def watch(self, passage: Passage) -> None:
        """Let the challenger see what was decided, where there is one."""
        shadow = self._shadow
        if shadow is not None:
            shadow.watch(passage)

    def stop(self) -> None:
        """Follow no longer; a release that is being loaded is loaded to its end."""
        self._stopped.set()
        self._thread.join()
        self._end_shadow()
        leave(self.work)

    def look(self) -> None:
        """Take up the folder's release where it is another than was seen last."""
        stamp = _release_stamp(self.work.release)
        # Between the two renames of a swap there is no release; the next look finds one.
        if stamp is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._take_up()
        except (OnePointError, OSError) as error:
            serving = self.recommender.scorer.release
            instead = "the old one serves on" if serving else "rules and popularity answer"
            logger.error("release refused, %s: %s", instead, error)
            self._report(refused=str(error))

    def _look_for_a_shadow(self) -> None:
        """Begin or end the shadow where the folder's settings say otherwise than before."""
        stamp = _stamp(self.work.settings)
        if stamp == self._settings_seen:
            return
        self._settings_seen = stamp
        try:
            settings = self.work.config()
            asked = settings.shadow if settings else None
            if asked == self._shadow_asked:
                return
            self._shadow_asked = asked
            self._end_shadow()
            if asked is not None:
                rules, config = self.recommender.rules, self.recommender.config
                challenger = open_scorer(self.work.path / asked, rules, config)
                self._shadow = Shadow(challenger, self.work.shadows)
        except (OnePointError, OSError) as error:
            logger.error("no other shadow: %s", error)

    def _end_shadow(self) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            shadow.stop()

    def _take_up(self) -> None:
        recommender = self.recommender
        scorer = open_scorer(self.work.release, recommender.rules, recommender.config)
        check_features(scorer, self.work)
        left = recommender.swap(scorer)
        metrics.serve_release(scorer.release, left.release)
        self._report()
        facts = {"release": scorer.release and scorer.release.id}
        logger.info("release swapped", extra={FACTS: facts})
        del left
        # What is loaded now is never garbage, and full collections stop every request; what was
        # frozen before is not looked at again here, so this one is short.
        gc.collect()
        gc.freeze()

    def _report(self, refused: str | None = None) -> None:
        release = self.recommender.scorer.release
        report(self.work, WorkerRelease(os.getpid(), release.id if release else "", refused))

    def _run(self) -> None:
        use_every_core()
        while not self._stopped.wait(LOOK_S):
            self.look()
            self._look_for_a_shadow()


def _release_stamp(folder: Path) -> tuple[tuple[int, int] | None, ...] | None:
    """Tell one release from another, and from itself mended; None where there is none."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return None
    return tuple(map(_stamp, files)) if folder / MANIFEST in files else None


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
