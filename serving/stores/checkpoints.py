"""Moving what was written from SQLite's write-ahead log into its file, beside the writer."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from serving.stores.engine import cause

logger = logging.getLogger("onepoint.serving")
MOVE, MOVE_ALL = "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(RESTART)"
EVERY_S = 0.2
LONG = 2_000
"""A log of more pages (8 MB) is made to begin again, for which the writer waits a moment."""


class Checkpoints:
    """A thread that empties the log of a SQLite file soon after something was written to it.

    Left to itself SQLite does so within the commit that fills a thousand pages, which is every
    eightieth decision: that one waits for two more syncs of the disk, ten times its own. Done from
    another connection (`PASSIVE`), it holds up neither readers nor the writer. Where writes come so
    close that some are always left in the log, it would grow for ever: then the last few are moved
    while the writer waits (`RESTART`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._written = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onepoint-checkpoints", daemon=True)
        self._thread.start()

    def written(self) -> None:
        """Say that there is something in the log."""
        self._written.set()

    def close(self) -> None:
        """Stop; the last connection that is closed moves the rest."""
        self._closing.set()
        self._written.set()
        self._thread.join()

    def _run(self) -> None:
        while self._written.wait() and not self._closing.wait(EVERY_S):
            self._written.clear()
            try:
                with self._engine.connect() as connection:
                    pages = connection.exec_driver_sql(MOVE).one()[1]
                    if pages > LONG:
                        connection.exec_driver_sql(MOVE_ALL)
            except SQLAlchemyError as error:
                # nothing is lost: it stays in the log, and the next write asks again
                logger.warning("the decision store's log was not emptied: %s", cause(error))
