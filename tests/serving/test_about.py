"""What the algorithm uses is told to whoever asks, with how to refuse it."""

import json

import pytest

from features.config import load_yaml
from serving.about import AboutTexts, about
from serving.config import ABOUT_YAML


def parsed(answer) -> dict:
    return json.loads(answer.model_dump_json(exclude_none=True))


def texts_in(told, path="") -> dict[str, dict]:
    """Every text of an answer, by its place."""
    if isinstance(told, dict) and set(told) == {"zh", "en"}:
        return {path: told}
    parts = told.items() if isinstance(told, dict) else enumerate(told)
    return {
        place: text
        for name, part in parts
        if isinstance(part, dict | list)
        for place, text in texts_in(part, f"{path}.{name}").items()
    }


@pytest.mark.parametrize("scope", ["customer", "staff", "reviewer"])
def test_whoever_asks_is_told_in_both_languages(service, scope):
    with service.client(scope) as caller:
        answer = caller.get("/v1/about")
    assert answer.status_code == 200
    told = answer.json()
    assert told["degraded"] is False
    models = told["models"]
    assert models["purpose"] == {"zh": "试验", "en": "a trial"}
    assert models["release"] == told["versions"]["release"]
    assert models["trained_from"] == "2025-06-30T16:00:00Z"
    assert models["tested_until"] == "2026-06-30T16:00:00Z"
    assert [(one["group"], one["features"]) for one in models["data_used"]] == [
        (group, 1)
        for group in (
            "asset_size", "life_stage", "activity", "channel_history", "holdings", "experience"
        )
    ]  # fmt: skip
    assert models["personal_attributes"] == [{"zh": "年龄", "en": "age"}]
    assert models["fairness"]["worse"] == [
        {
            "model": {"zh": "下一产品", "en": "next product"},
            "segment": {"zh": "年龄段", "en": "age band"},
            "group": "65 and over",
        }
    ]
    assert told["policy"]["version"] == told["versions"]["policy"]
    assert told["policy"]["trial_share"] == 0.05
    texts = texts_in(told)
    assert len(texts) > 20
    for place, text in texts.items():
        assert "一" <= text["zh"][0] <= "鿿", place
        assert text["en"].isascii(), place


def test_who_refuses_as_it_says_gets_no_personal_answer(service):
    with service.client("staff") as staff:
        consent = staff.get("/v1/about").json()["opt_out"]["consent"]
        event = {"event_id": "E-about", "customer_id": "C_CAUTIOUS"}
        event |= {"event_time": "2026-07-01T02:00:00Z"}
        told = staff.post("/v1/interactions", json={"consents": [{**event, **consent}]})
        assert told.status_code == 200
        ask = {"customer_id": "C_CAUTIOUS", "channel": "teller"}
        assert staff.post("/v1/recommend", json=ask).json()["personalised"] is False


def test_without_models_or_their_card_that_is_said(recommender):
    texts = load_yaml(ABOUT_YAML, AboutTexts)
    told = parsed(about(texts, recommender.rules, None))
    assert told["degraded_because"] == ["release: none, popularity instead of models"]
    assert "models" not in told
    assert told["opt_out"]["text"]["zh"]
    recommender.scorer.release.about = None
    told = parsed(recommender.about())
    assert told["degraded_because"][0].startswith("model card: none")
    assert told["versions"]["release"] == recommender.scorer.release.id
