"""Outlets, the people who work there, and whose customers they look after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.simulated_bank.luck import Bools, Ints, Luck
from experiments.simulated_bank.parameters import Parameters
from experiments.simulated_bank.people import REGIONS, People
from experiments.simulated_bank.recorder import Recorder
from experiments.simulated_bank.timeline import DAY, HOUR, NEVER

REMOTE_CENTRE = 1
AGENCY_SCOPE = "deposit;payment;service;care;card;payroll;pension"
_OWN_STAFF = (
    ("teller", 3), ("lobby_manager", 1), ("relationship_manager", 2), ("wealth_manager", 1),
    ("loan_manager", 1),
)  # fmt: skip
_AGENCY_STAFF = (("teller", 2), ("lobby_manager", 1), ("relationship_manager", 1))
_REMOTE_STAFF = (("remote_agent", 4), ("video", 2), ("human_call", 4), ("wecom", 2))
_REGION_NAMES = ("华东", "华北", "华南", "华中", "西南", "西北")
_STREETS = (
    "人民路", "解放路", "中山路", "建设路", "和平路", "新华路", "朝阳路", "长江路",
    "黄河路", "文化路", "青年路", "胜利路", "东风路", "光明路", "幸福路", "滨河路",
    "花园路", "学府路", "科技路", "迎宾路",
)  # fmt: skip
_TOWNS = (
    "城关镇",
    "河东镇",
    "柳林镇",
    "新桥镇",
    "白塔镇",
    "石门镇",
    "清溪镇",
    "太平镇",
    "杨柳镇",
    "大兴镇",
)
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = (
    "伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "洋", "艳", "勇", "军", "杰", "娟", "涛",
    "明", "超", "秀英", "霞", "平", "刚", "桂英", "建华", "志强", "晓燕", "海燕", "玉兰", "文博",
    "思远", "雨桐",
    "子涵", "佳怡", "浩然", "欣悦", "国栋", "春梅", "立新", "红梅", "俊峰", "雪梅",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """Outlets and staff by number (from 1); ``org`` and ``staff`` of a customer, shape (N,).

    ``staff`` is −1 for customers without a manager; ``staff_channel`` is the catalog code of the
    role by staff number.
    """

    org: Ints
    staff: Ints
    staff_before: Ints
    staff_since: Ints
    staff_channel: Ints

    def staff_at(self, moment: int) -> Ints:
        """Give the manager of each customer at a moment (UTC microseconds), shape (N,)."""
        return np.where(self.staff_since > moment, self.staff_before, self.staff)


@dataclass(frozen=True)
class _Outlets:
    region: Ints
    agency: Bools
    first: int

    def __len__(self) -> int:
        return len(self.region)


def build_network(
    parameters: Parameters, people: People, luck: Luck, recorder: Recorder
) -> Network:
    """Lay out regions, outlets and staff, and write their tables with the assignments."""
    outlets = _lay_out(parameters, people, luck)
    _write_orgs(outlets, recorder)
    roles, places = _hire(outlets)
    role_codes = np.array([-1, *(parameters.channel(role) for role in roles)])
    _write_staff(roles, places, recorder)
    org = _home_outlets(outlets, people, luck)
    staff = _managers(parameters, people, luck, org, role_codes, np.array([0, *places]))
    before, since = _write_assignments(
        parameters, people, luck, recorder, staff, role_codes, np.array([0, *places])
    )
    return Network(org, staff, before, since, role_codes)


def _lay_out(parameters: Parameters, people: People, luck: Luck) -> _Outlets:
    """Every region with customers gets outlets in proportion, the first of several our own."""
    counts = np.bincount(people.region, minlength=len(REGIONS))
    number = np.maximum(
        (counts > 0).astype(int), np.rint(counts / parameters.config.people.customers_per_branch)
    ).astype(int)
    region = np.repeat(np.arange(len(REGIONS)), number)
    share = parameters.config.people.agency_share
    agency = luck.uniform("agency", np.arange(len(region))) < share
    first = np.append(True, region[1:] != region[:-1])
    ours = (first & (number[region] > 1)) | (np.arange(len(region)) == 0)
    return _Outlets(region, agency & ~ours, REMOTE_CENTRE + 1 + len(REGIONS))


def _write_orgs(outlets: _Outlets, recorder: Recorder) -> None:
    remote = recorder.word("orgs", "name", "远程银行中心")
    recorder.log.add("orgs", org_id=[REMOTE_CENTRE], kind="own", name=[remote])
    for number, name in enumerate(_REGION_NAMES):
        code = recorder.word("orgs", "name", f"{name}分行")
        recorder.log.add(
            "orgs", org_id=[REMOTE_CENTRE + 1 + number], kind="own", region=[number], name=[code]
        )
    for place in range(len(outlets)):
        region, agency = int(outlets.region[place]), bool(outlets.agency[place])
        names = _TOWNS if agency else _STREETS
        round_ = place // len(names)
        title = f"{_REGION_NAMES[region]}{names[place % len(names)]}"
        title += (f"第{round_ + 1}" if round_ else "") + ("代理营业所" if agency else "支行")
        recorder.log.add(
            "orgs",
            org_id=[outlets.first + place],
            parent=[REMOTE_CENTRE + 1 + region],
            kind="agency" if agency else "own",
            region=[region],
            business_scope=recorder.word("orgs", "business_scope", AGENCY_SCOPE) if agency else -1,
            name=[recorder.word("orgs", "name", title)],
        )


def _hire(outlets: _Outlets) -> tuple[list[str], list[int]]:
    roles: list[str] = []
    places: list[int] = []
    teams: list[tuple[int, tuple[tuple[str, int], ...]]] = [(REMOTE_CENTRE, _REMOTE_STAFF)]
    for place in range(len(outlets)):
        team = _AGENCY_STAFF if outlets.agency[place] else _OWN_STAFF
        teams.append((outlets.first + place, team))
    for org, heads_by_role in teams:
        for role, heads in heads_by_role:
            roles += [role] * heads
            places += [org] * heads
    return roles, places


def _write_staff(roles: list[str], places: list[int], recorder: Recorder) -> None:
    luck = recorder.luck
    for number, (role, org) in enumerate(zip(roles, places, strict=True), start=1):
        surname = _SURNAMES[int(luck.below(len(_SURNAMES), "surname", number))]
        given = _GIVEN[int(luck.below(len(_GIVEN), "given", number))]
        recorder.log.add(
            "staff",
            staff_id=[number],
            org_id=[org],
            role=role,
            minutes_per_day=[float(300 + 30 * int(luck.below(5, "minutes", number)))],
            name=[recorder.word("staff", "name", surname + given)],
        )


def _home_outlets(outlets: _Outlets, people: People, luck: Luck) -> Ints:
    """Draw an outlet of the customer's region; the number drawn is cut by the region's outlets."""
    first = np.searchsorted(outlets.region, np.arange(len(REGIONS)))
    number = np.bincount(outlets.region, minlength=len(REGIONS))
    within = luck.below(number[people.region], "outlet", np.arange(len(people)))
    return np.asarray(outlets.first + first[people.region] + within)


def _managers(
    parameters: Parameters, people: People, luck: Luck, org: Ints, roles: Ints, places: Ints
) -> Ints:
    """Give the well-off a manager of their outlet, the richest a wealth manager if it has one."""
    staff = np.full(len(people), -1)
    threshold = parameters.config.people.managed_above_cny
    managed = people.first_assets > threshold
    rich = people.first_assets > 3 * threshold
    draw = luck.uniform("manager", np.arange(len(people)))
    for place in np.unique(org):
        relation = np.nonzero(
            (places == place) & (roles == parameters.channel("relationship_manager"))
        )[0]
        wealth = np.nonzero((places == place) & (roles == parameters.channel("wealth_manager")))[0]
        here = managed & (org == place)
        for rows, team in (
            (here & rich, wealth if len(wealth) else relation),
            (here & ~rich, relation),
        ):
            staff[rows] = team[(draw[rows] * len(team)).astype(int)]
    return staff


def _write_assignments(
    parameters: Parameters, people: People, luck: Luck, recorder: Recorder,
    staff: Ints, roles: Ints, places: Ints,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Write who looks after whom; for a few, a colleague of the outlet did so before."""
    who = np.nonzero(staff >= 0)[0]
    timeline = parameters.timeline
    earliest = timeline.start(0) - 700 * DAY
    begun = np.maximum(people.joined_us[who] + DAY, earliest)
    begun = begun + (luck.uniform("assigned", who) * 20 * DAY).astype(np.int64)
    change = timeline.start(0) + (
        luck.uniform("reassigned", who) * (timeline.end - timeline.start(0))
    ).astype(np.int64)
    change = change // HOUR * HOUR
    moved = (luck.uniform("moved", who) < 0.08) & (change > begun + 30 * DAY)
    before = staff[who].copy()
    for row in np.nonzero(moved)[0]:
        mate = (places == places[before[row]]) & (roles == roles[before[row]])
        others = np.nonzero(mate & (np.arange(len(roles)) != before[row]))[0]
        if len(others) == 0:
            moved[row] = False
        else:
            before[row] = others[0]
    recorder.add(
        "assignments", who, np.where(moved, change, begun), time_column="from_",
        staff_id=staff[who], to=NEVER,
    )  # fmt: skip
    recorder.add(
        "assignments", who[moved], begun[moved], time_column="from_",
        staff_id=before[moved], to=change[moved],
    )  # fmt: skip
    staff_before, staff_since = staff.copy(), np.zeros(len(people), dtype=np.int64)
    staff_before[who], staff_since[who] = before, np.where(moved, change, begun)
    return staff_before, staff_since
