"""Moving what was written from SQLite's write-ahead log into its file, beside the writer."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from serving.cores import use_every_core
from serving.stores.engine import cause
from serving.stores.prepared import KeptOpen

logger = logging.getLogger("onepoint.serving")
EVERY_S = 0.2
LONG = 2_000
"""Of a log of more pages (8 MB) the writer itself moves the last."""


class Checkpoints:
    """A thread that empties the log of a SQLite file soon after something was written to it.

    Left to itself SQLite does so within the commit that fills a thousand pages, which is every
    eightieth decision: that one waits for two more syncs of the disk, ten times its own. Done from
    another connection, it holds up neither readers nor the writer. The log begins again only where
    all of it was moved, which this thread never sees while writes come close upon each other: then
    the few pages that are left are moved between two of them.
    """

    def __init__(self, engine: Engine) -> None:
        self._open = KeptOpen(engine)
        self._written = threading.Event()
        self._closing = threading.Event()
        self._long = False
        self._thread = threading.Thread(target=self._run, name="onepoint-checkpoints", daemon=True)
        self._thread.start()

    def written(self) -> None:
        """Say, from the thread that writes, that there is something in the log."""
        if self._long:
            self._move()
            self._long = False
        self._written.set()

    def close(self) -> None:
        """Stop; the last connection that is closed moves the rest."""
        self._closing.set()
        self._written.set()
        self._thread.join()
        self._open.close()

    def _run(self) -> None:
        use_every_core()
        while self._written.wait():
            self._written.clear()
            if self._closing.wait(EVERY_S):
                return
            self._long = self._move() > LONG

    def _move(self) -> int:
        """Move what there is into the file; give the pages of the log."""
        try:
            return self._open.use(_moved)
        except SQLAlchemyError as error:
            # nothing is lost: it stays in the log, and the next write asks again
            logger.warning("the decision store's log was not emptied: %s", cause(error))
            return 0


def _moved(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()[1])
