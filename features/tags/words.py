"""How a value and a part of a tag read to a person, in Chinese and in English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from features.bank import Bank
from features.catalog import Catalog, Names
from features.customer.asset_size import CLASS_NAMES
from features.tags.book import TagSettings

Value = float | str


def _names(words: Mapping[str, tuple[str, str]]) -> dict[str, Names]:
    return {word: Names(zh=zh, en=en) for word, (zh, en) in words.items()}


WORDS = _names(
    {
        **CLASS_NAMES,
        "deposit": ("存款", "deposits"),
        "card": ("信用卡", "cards"),
        "loan": ("贷款", "loans"),
        "payroll": ("代发", "salary"),
        "pension": ("养老金", "pension"),
        "payment": ("支付缴费", "payments"),
        "service": ("服务", "services"),
        "care": ("关怀", "care"),
        "application": ("申请", "application"),
        "interview": ("面谈", "interview"),
        "approval": ("审批", "approval"),
        "signing": ("签约", "signing"),
        "servicing": ("交易后管理", "servicing"),
        "inquiry": ("查询", "inquiry"),
        "rating": ("评价", "rating"),
        "own": ("自营", "own"),
        "agency": ("代理", "agency"),
    }
)
"""Words of the contract and of the catalog's categories; other ids are the bank's own."""

PART_NAMES = _names(
    {
        "age_years": ("年龄", "age"),
        "amount_cny": ("金额", "amount"),
        "answers": ("响应次数", "answers"),
        "asset_class": ("类别", "kind"),
        "assets_cny": ("现有资产", "assets now"),
        "average_cny": ("月日均", "month's average"),
        "business_scope": ("业务范围", "handles"),
        "calls": ("呼叫次数", "calls"),
        "channel": ("渠道", "channel"),
        "completion": ("完成率", "completion"),
        "coupons": ("用券次数", "coupons used"),
        "date_days": ("日期", "date"),
        "days": ("活跃天数", "active on"),
        "days_ago": ("距今", "ago"),
        "days_left": ("剩余", "left"),
        "days_longest": ("最长", "longest"),
        "days_now": ("当前", "at present"),
        "delivered": ("送达条数", "delivered"),
        "demand_cny": ("活期", "on demand"),
        "error_code": ("报错", "error"),
        "errors": ("报错次数", "errors"),
        "estimate_cny": ("行外估计", "elsewhere, as estimated"),
        "fund_loss_share": ("基金亏损", "loss on funds"),
        "gap_cny": ("月日均还差", "the month's average lacks"),
        "helps": ("求助次数", "asked for help"),
        "idle_cny": ("闲置", "idle"),
        "kind": ("性质", "kind"),
        "longest_minutes": ("最长", "longest"),
        "maturities": ("到期转出次数", "maturities moved out"),
        "monthly_cny": ("月均", "a month"),
        "months": ("计", "in"),
        "open": ("未结件数", "open"),
        "open_days": ("已开", "open for"),
        "others": ("其他管户人数", "other managers"),
        "outflow_cny": ("净流出", "net outflow"),
        "outflow_share": ("流出占比", "share that left"),
        "outlet": ("网点", "outlet"),
        "outlet_days": ("其中到该网点", "of these there"),
        "peak_cny": ("峰值", "peak"),
        "product": ("产品", "product"),
        "ratio": ("比值", "ratio"),
        "response_share": ("响应率", "answered"),
        "restrictions": ("限制数", "restrictions"),
        "score": ("评分", "score"),
        "settled_days": ("已结", "settled"),
        "share": ("占比", "share"),
        "stage": ("环节", "stage"),
        "tenor_days": ("期限", "term"),
        "threshold_cny": ("门槛", "threshold"),
        "times": ("次数", "times"),
        "transactions": ("笔数", "transactions"),
        "used": ("使用次数", "times used"),
        "views": ("浏览次数", "views"),
        "wealth_loss_share": ("理财亏损", "loss on wealth products"),
    }
)
"""Names of parts that are no ids."""

SIGNS = _names(
    {
        "payroll": ("代发", "salary"),
        "repayment": ("还款", "repayments"),
        "bill": ("缴费", "bills"),
        "binding": ("绑卡", "wallet bound"),
        "gender": ("缺性别", "no gender"),
        "birth_date": ("缺出生日期", "no date of birth"),
        "occupation": ("缺职业", "no occupation"),
        "region": ("缺地区", "no region"),
    }
)
"""Parts that tell all by being there."""

PART_UNITS = {"completion": "share"}
"""Units of parts whose names do not end in one."""

UNITS = _names(
    {
        "CNY": ("元", "CNY"),
        "days": ("天", "days"),
        "minutes": ("分钟", "minutes"),
        "months": ("个月", "months"),
        "years": ("岁", "years"),
        "categories": ("类", "categories"),
        "channels": ("个渠道", "channels"),
        "contacts": ("次触达", "contacts"),
        "jumps": ("次切换", "jumps"),
        "levels": ("级", "levels"),
        "of 4": ("项(共 4 项)", "of 4"),
        "transactions": ("笔", "transactions"),
        "uses": ("次", "uses"),
        "waits": ("次", "waits"),
    }
)
"""Units as they stand after a number; one that is not here reads as it is written."""

OWNERS = _names(
    {
        "channels": ("渠道管理", "channels"),
        "compliance": ("法律合规", "compliance"),
        "marketing": ("市场营销", "marketing"),
        "operations": ("运营管理", "operations"),
        "retail_credit": ("零售信贷", "retail credit"),
        "risk": ("风险管理", "risk"),
        "service": ("客户服务", "service"),
        "wealth": ("财富管理", "wealth"),
    }
)
"""Departments that own tags; one that is not here reads as it is written."""

YES, NO = Names(zh="是", en="yes"), Names(zh="否", en="no")


@dataclass(frozen=True)
class Vocabulary:
    """What ids are called at a bank, and the moment and zone its dates are told in."""

    words: Mapping[str, Names]
    as_of: datetime
    zone: ZoneInfo

    def value(self, value: Value, settings: TagSettings) -> Names:
        """Tell the value of a tag: yes, the word of its band, a number with unit, what ids mean."""
        if isinstance(value, str):
            return self._ids(value)
        if settings.shape == "flag":
            return YES
        if settings.shape == "band":
            return settings.words[int(value)]
        return _measured(value, settings.unit)

    def part(self, part: str, value: Value, settings: TagSettings) -> Names:
        """Tell a part by its name and value: a text, a date, a yes or no, or a measure."""
        if part in SIGNS:
            return SIGNS[part]
        name = PART_NAMES.get(part) or self.words.get(part) or Names(zh=part, en=part)
        if isinstance(value, str):
            told = self._ids(value)
        elif part == "date_days":
            day = (self.as_of + timedelta(days=value)).astimezone(self.zone).date().isoformat()
            told = Names(zh=day, en=day)
        else:
            unit = _unit_of(part, settings)
            is_sign = part not in PART_NAMES and unit != "share" and value in (0, 1)
            told = (YES if value else NO) if is_sign else _measured(value, unit)
        return Names(zh=f"{name.zh} {told.zh}", en=f"{name.en} {told.en}")

    def _ids(self, text: str) -> Names:
        """Name each of the ids, separated by `;`; what is no id reads as it is."""
        found = [self.words.get(one) or Names(zh=one, en=one) for one in text.split(";") if one]
        return Names(zh="、".join(one.zh for one in found), en=", ".join(one.en for one in found))


def catalog_words(catalog: Catalog) -> dict[str, Names]:
    """Gather what the contract and the catalog call things."""
    words = dict(WORDS)
    words |= {channel.id: channel.names for channel in catalog.channels}
    words |= {offer.id: offer.names for offer in catalog.offers}
    return words


def vocabulary(bank: Bank, as_of: datetime) -> Vocabulary:
    """Gather what the catalog and the bank's own tables call things."""
    words = catalog_words(bank.catalog)
    if bank.has("orgs"):
        words |= {row["org_id"]: with_id(row["org_id"], row["name"]) for row in _rows(bank, "orgs")}
    if bank.has("staff"):
        words |= {
            row["staff_id"]: with_id(row["staff_id"], row["name"], words[row["role"]])
            for row in _rows(bank, "staff")
        }
    return Vocabulary(words, as_of, ZoneInfo(bank.config.time_zone))


def _rows(bank: Bank, table: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = bank.arrow(bank.frame(table)).to_pylist()
    return rows


def with_id(own_id: str, name: str | None, role: Names | None = None) -> Names:
    """Name somebody or some place, with the id that colleagues look it up by."""
    roles = ("", "") if role is None else (role.zh, role.en)
    return Names(zh=_listed(name, own_id, roles[0]), en=_listed(name, own_id, roles[1]))


def _listed(name: str | None, *more: str) -> str:
    rest = ", ".join(one for one in more if one)
    return f"{name} ({rest})" if name else rest


def _unit_of(part: str, settings: TagSettings) -> str:
    """Unit of a part: its name tells it, or it is an id in the tag's own unit.

    By id, a flag holds amounts and a text what speaks for each id, as a share.
    """
    if part in PART_UNITS:
        return PART_UNITS[part]
    words = part.split("_")
    if words[-1] == "cny":
        return "CNY"
    for unit in ("share", "days", "months", "minutes", "years"):
        if unit in (words[0], words[-1]):
            return unit
    if part in PART_NAMES:
        return ""
    return {"flag": "CNY", "text": "share"}.get(settings.shape, settings.unit)


def _measured(value: float, unit: str) -> Names:
    if unit == "share":
        percent = f"{_plain(round(value * 100, 1))} %"
        return Names(zh=percent, en=percent)
    names = UNITS.get(unit) or Names(zh=unit, en=unit) if unit else None
    number = _plain(value)
    if names is None:
        return Names(zh=number, en=number)
    return Names(zh=f"{number} {names.zh}", en=f"{number} {names.en}")


def _plain(value: float) -> str:
    """Write a number with separators, at most two decimals, and no empty ones.

    >>> _plain(1234567.5), _plain(50000), _plain(0.333)
    ('1,234,567.5', '50,000', '0.33')
    """
    return f"{value:,.2f}".rstrip("0").rstrip(".")
