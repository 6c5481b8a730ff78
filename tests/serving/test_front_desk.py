"""What the counter reads: what, where, who and why, in both languages, nothing cut off."""

import asyncio
import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from serving.contract import RecommendRequest, RecommendResponse
from serving.front_desk import WIDTH, show_answer


def answered(recommender, customer, audience="staff") -> RecommendResponse:
    request = RecommendRequest(customer_id=customer, channel="teller")
    return RecommendResponse.model_validate_json(
        asyncio.run(recommender.recommend(request, audience))
    )


def page_of(answer, recommender, state=None) -> str:
    console = Console(file=io.StringIO(), width=WIDTH)
    show_answer(answer, recommender.rules, "teller", console, state)
    return console.file.getvalue()


def printed(recommender, customer, audience="staff", state=None) -> str:
    return page_of(answered(recommender, customer, audience), recommender, state)


def test_the_counter_reads_the_friday_the_manager_and_every_reason_whole(recommender):
    state = recommender.customers.read("C_MATURES").state
    page = printed(recommender, "C_MATURES", state=state)
    assert "一年期整存整取 ¥100,000 2026-07-03 到期" in page
    assert "1-year time deposit matures on Friday, 2026-07-03" in page
    assert "管户 理财经理 李敏 · looked after by wealth manager 李敏" in page
    assert "客户 customer C_MATURES · 柜员 teller · 2026-07-01 10:00 (Wednesday)" in page
    assert "倾向 p_start" in page
    assert "…" not in page
    assert re.search(r"│ 倾向 p_start \d+\.\d% ", page)
    assert re.search(r"│ 办成 completion \d+% ", page)
    assert max(cell_len(line) for line in page.splitlines() if line[:1] in "┃│┏└") <= 110


@pytest.mark.parametrize(
    ("customer", "says"),
    [
        ("C_NO_FEATURES", "degraded: rules and popularity"),
        ("C_OPTED_OUT", "the customer declined personalisation"),
    ],
)
def test_a_lesser_answer_says_so(recommender, customer, says):
    assert says in printed(recommender, customer)
    assert says not in printed(recommender, "C_PLAIN")


def test_a_customers_page_has_no_figures_and_no_counts(recommender):
    page = printed(recommender, "C_PLAIN", "customer")
    for word in ("figures", "propensity", "candidates", "score"):
        assert word not in page
    assert "why" in page
    assert "next" not in page


def test_staff_read_the_next_step_and_why_the_first_stands_first(recommender):
    told = answered(recommender, "C_MATURES")
    steps = [step for place in told.recommendations for step in place.next_steps]
    # of this answer and no other: a small share of first places tries another handle
    page = page_of(told, recommender)
    # A cell is folded at its width, so what is looked for is how each sentence begins.
    for said in steps:
        assert f"→{said.text.zh[:6]}" in page
    assert told.why_first.reasons
    for said in told.why_first.reasons:
        assert f"·{said.text.zh[:20]}" in page
        assert said.text.en[:40] in page
    customers = printed(recommender, "C_MATURES", "customer")
    assert "→" not in customers
    assert "first stands first" not in customers


def test_brackets_in_a_name_are_no_markup(recommender):
    known = recommender.customers.read("C_MATURES").state
    owner = known.owner.model_copy(update={"name": "[red]李[/red]"})
    page = printed(recommender, "C_MATURES", state=known.model_copy(update={"owner": owner}))
    assert "[red]李[/red]" in page
