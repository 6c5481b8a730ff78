"""What the algorithm uses, for whoever asks: the answer of `GET /v1/about`.

It joins the release's model card, the sentences of `configs/serving/about.yaml` and the policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from features.catalog import Names
from features.config import StrictConfig
from features.groups import GROUPS
from features.tables import PERSONALISATION
from serving.contract import Message, Text, Versions
from serving.decide.rulebook import Rulebook
from serving.scoring import NO_RELEASE

if TYPE_CHECKING:
    from training.models.about import About
    from training.models.release import Release

NO_CARD = "model card: none in this release; train it again"
HEADS = {
    "next_product": Text(zh="下一产品", en="next product"),
    "channel_preference": Text(zh="渠道偏好", en="channel preference"),
}
SEGMENTS = {
    "age band": Text(zh="年龄段", en="age band"),
    "gender": Text(zh="性别", en="gender"),
    "region": Text(zh="地区", en="region"),
}


class AboutTexts(StrictConfig):
    """`configs/serving/about.yaml`: what is said beside the model card."""

    purpose: Names
    how: tuple[Names, ...]
    not_used: tuple[Names, ...]
    opt_out: Names


class DataUsed(Message):
    """A group of features that the models read, and how many."""

    group: str
    name: Text
    features: int


class WorseGroup(Message):
    """A group of customers whom a model surely serves worse than all others on its test."""

    model: Text
    segment: Text
    group: str


class Fairness(Message):
    """By group of customers (age, gender, region, as far as the data tell them).

    ``measured`` are the models whose test could be read by group; ``worse`` is empty where no group
    is surely served worse.
    """

    measured: tuple[Text, ...]
    worse: tuple[WorseGroup, ...]


class Models(Message):
    """The models that are served, from their card: learned and tested on time in that window."""

    release: str
    owner: str
    purpose: Text
    trained_from: datetime
    tested_until: datetime
    intended: tuple[Text, ...]
    not_intended: tuple[Text, ...]
    data_used: tuple[DataUsed, ...]
    personal_attributes: tuple[Text, ...]
    limits: tuple[Text, ...]
    fairness: Fairness


class PolicyInForce(Message):
    """What the bank has set: ``trial_share`` (0–1) of first places draw the handle at random."""

    version: str
    trial_share: float


class OptOut(Message):
    """How a customer refuses personal answers; an app sends ``consent`` to `/v1/interactions`."""

    text: Text
    consent: dict[str, str | bool]


class AboutAnswer(Message):
    """What the algorithm uses: purpose, data, limits, fairness, policy, and how to opt out.

    ``models`` is absent, and the answer degraded, where rules and popularity answer alone, or the
    release brought no card.
    """

    purpose: Text
    how: tuple[Text, ...]
    not_used: tuple[Text, ...]
    opt_out: OptOut
    policy: PolicyInForce
    models: Models | None = None
    versions: Versions
    degraded: bool
    degraded_because: tuple[str, ...] | None = None


def about(texts: AboutTexts, rules: Rulebook, release: Release | None) -> AboutAnswer:
    """Say what is used: by rules and texts, and by the release's card where there is one."""
    card = None if release is None else release.about
    lacking = NO_RELEASE if release is None else None if card else NO_CARD
    return AboutAnswer(
        purpose=_text(texts.purpose),
        how=_texts(texts.how),
        not_used=_texts(texts.not_used),
        opt_out=OptOut(
            text=_text(texts.opt_out), consent={"channel": PERSONALISATION, "allowed": False}
        ),
        policy=PolicyInForce(
            version=rules.policy_version, trial_share=rules.policy.exploration.share
        ),
        models=None if release is None or card is None else _models(release, card),
        versions=Versions(
            release=release.id if release else None,
            catalog=rules.catalog_version,
            policy=rules.policy_version,
        ),
        degraded=lacking is not None,
        degraded_because=None if lacking is None else (lacking,),
    )


def _models(release: Release, card: About) -> Models:
    windows = [one for window in release.manifest.windows.values() for one in window]
    groups = Counter(release.feature_set.groups[name] for name in release.feature_names)
    return Models(
        release=release.id,
        owner=card.owner,
        purpose=_text(card.purpose),
        trained_from=datetime.fromisoformat(min(windows)),
        tested_until=datetime.fromisoformat(max(windows)),
        intended=_texts(card.intended),
        not_intended=_texts(card.not_intended),
        data_used=tuple(
            DataUsed(group=group, name=Text(zh=zh, en=en), features=groups[group])
            for group, (zh, en) in GROUPS.items()
            if groups[group]
        ),
        personal_attributes=_texts(card.attributes),
        limits=_texts(card.limits),
        fairness=Fairness(
            measured=tuple(HEADS[head] for head in card.heads_by_group),
            worse=tuple(
                WorseGroup(model=HEADS[one.head], segment=SEGMENTS[one.segment], group=one.group)
                for one in card.worse
            ),
        ),
    )


def _text(names: Names) -> Text:
    return Text(zh=names.zh, en=names.en)


def _texts(many: Iterable[Names]) -> tuple[Text, ...]:
    return tuple(map(_text, many))
