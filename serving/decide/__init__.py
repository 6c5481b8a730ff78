"""From facts and scores to a decision with reasons; pure: no HTTP, no clock, no disk.

`load_rulebook` reads the catalog folder once; `decide`, `with_contributions` and `answer` are
functions of their arguments alone.
"""

from serving.decide.answering import answer
from serving.decide.case import personal_answer, stages_for
from serving.decide.pipeline import decide, with_contributions
from serving.decide.rulebook import Rulebook, load_rulebook
from serving.decide.unreadable import unknown_state

__all__ = [
    "Rulebook",
    "answer",
    "decide",
    "load_rulebook",
    "personal_answer",
    "stages_for",
    "unknown_state",
    "with_contributions",
]
