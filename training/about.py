"""What the model card says in Chinese and English: uses, limits, attributes, groups worse off."""

from __future__ import annotations

from collections.abc import Mapping

from features.catalog import Names
from features.feature_set import FeatureSet
from training.config import RunConfig
from training.models.about import About, Worse
from training.report import HeadReport

GROUP_METRICS = ("hit_rate_at_3", "accuracy")
"""By which of a head's metrics its groups are compared."""


def _names(*texts: tuple[str, str]) -> tuple[Names, ...]:
    return tuple(Names(zh=zh, en=en) for zh, en in texts)


INTENDED = _names(
    (
        "在银行自身的准入、适当性与触达规则之内,为主动前来的客户排序产品,并建议下一步的办理渠道。",
        "Ranking products for a customer who comes in, and proposing the channel for his next step,"
        " within a bank's own rules of eligibility, suitability and contact.",
    ),
    (
        "向员工与审查人员说明一个分数的由来。",
        "Giving staff and reviewers the reasons for a score.",
    ),
)
NOT_INTENDED = _names(
    (
        "决定授信、价格、额度或保险承保,或拒绝向任何人提供服务。",
        "Deciding on credit, prices, limits or insurance cover, or refusing anybody a service.",
    ),
    (
        "把概率当作推荐的效果:它说的是会发生什么,不是我们改变了什么。",
        "Reading a probability as the effect of an offer: it is what happens, not what we change.",
    ),
    (
        "触达已关闭个性化推荐的客户,或用这些模型解释他们。",
        "Contacting customers who opted out of personalisation, or explaining them by these"
        " models.",
    ),
    (
        "训练期内没有出现过的客户、产品或渠道,以及其他银行的客户。",
        "Customers, products or channels the training window had none of; another bank's"
        " customers.",
    ),
)
LIMITS = _names(
    (
        "概率是训练期内既有触达与渠道之下的倾向,不是展示一项推荐的效果。",
        "Probabilities are propensities under the contacts and channels of the training window, not"
        " effects of showing an offer.",
    ),
    (
        "办成率按产品、环节与办理渠道估计,不针对单个客户。",
        "Completion is told by offer, stage and handle, not by the single customer.",
    ),
    (
        "预期金额是中位数而非平均数;没有特征时取所在资产层级的值。",
        "The expected amount is a median, not a mean; where no features are, that of the asset"
        " tier.",
    ),
    (
        "测试期之前开始办理不足200次的产品共用一个合并模型。",
        "Products with fewer than 200 starts before the test share one pooled model.",
    ),
    (
        "一项推荐是否适当由打分之后的规则决定,从不由这些模型决定。",
        "Whether an offer is suitable is decided by rules after scoring, never by these models.",
    ),
    (
        "理由说明是什么影响了分数,而不是什么会影响客户。",
        "Reasons say what moved the score, not what would move the customer.",
    ),
)
ATTRIBUTES = dict(
    zip(
        ("age_years", "gender", "region", "occupation", "join_channel", "declared_income_cny"),
        _names(
            ("年龄", "age"), ("性别", "gender"), ("地区", "region"), ("职业", "occupation"),
            ("开户渠道", "channel of entry"), ("申报收入", "declared income"),
        ),
        strict=True,
    )
)  # fmt: skip
"""Features that tell something of a customer's person, rather than of what he did with the bank."""


def about(config: RunConfig, feature_set: FeatureSet, reports: Mapping[str, HeadReport]) -> About:
    """Sum up a run for whoever asks what the algorithm uses; ``reports`` by head."""
    told = {head: report for head, report in reports.items() if report.tables.get("segments")}
    return About(
        owner=config.owner,
        purpose=Names(zh=config.purpose_zh or config.purpose, en=config.purpose),
        intended=INTENDED,
        not_intended=NOT_INTENDED,
        attributes=tuple(
            names for feature, names in ATTRIBUTES.items() if feature in feature_set.names
        ),
        limits=LIMITS,
        heads_by_group=tuple(told),
        worse=tuple(
            Worse(head=head, segment=row["segment"], group=str(row["group"]))
            for head, report in told.items()
            for row in surely_worse(report)
        ),
    )


def group_metric(report: HeadReport) -> str:
    """Name the metric by which a head's groups are compared."""
    row = report.tables["segments"][0]
    return next(name for name in GROUP_METRICS if name in row)


def surely_worse(report: HeadReport) -> list[dict[str, object]]:
    """Give the groups whose whole 95 % interval lies below the mean of all."""
    mean = report.metrics[group_metric(report)]
    return [row for row in report.tables["segments"] if row["high"] < mean]
