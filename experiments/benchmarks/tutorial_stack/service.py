"""Recommend the next product with MLflow models, a pandas row and SHAP."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml
import mlflow
import numpy as np
import pandas as pd
import shap

from experiments.benchmarks.tutorial_stack.models import CONTEXT, CUSTOMERS, PARTS

FOLDER_VARIABLE = "ONEPOINT_TUTORIAL"
REASONS = 3


@bentoml.service(name="tutorial", workers=1)
class Tutorial:
    """Load everything once, then answer."""

    def __init__(self) -> None:
        folder = Path(os.environ[FOLDER_VARIABLE])
        self.parts = json.loads((folder / PARTS).read_text("utf-8"))
        mlflow.set_tracking_uri(self.parts["tracking_uri"])
        self.models = {
            name: mlflow.pyfunc.load_model(uri) for name, uri in self.parts["models"].items()
        }
        self.explainers = {
            name: shap.TreeExplainer(model.get_raw_model())
            for name, model in self.models.items()
            if name != "channel"
        }
        self.customers = pd.read_parquet(folder / CUSTOMERS)

    @bentoml.api(route="/v1/recommend")  # type: ignore[untyped-decorator]
    def recommend(self, customer_id: str, channel: str, limit: int) -> dict[str, Any]:
        """Give the likeliest products, the channel the customer would choose, and why."""
        row = self.customers.loc[[customer_id]]
        chances = {product: self._chance(product, row) for product in self.parts["products"]}
        top = sorted(chances, key=lambda one: -chances[one])[:limit]
        preferences = self._preferences(row, top)
        places = [
            {
                "rank": rank,
                "offer": product,
                "p_start": chances[product],
                "handle": self.parts["channels"][int(np.argmax(preference))],
                "preference": float(np.max(preference)),
                "reasons": self._reasons(product, row),
            }
            for rank, (product, preference) in enumerate(zip(top, preferences, strict=True), 1)
        ]
        return {"customer_id": customer_id, "channel": channel, "recommendations": places}

    def _of(self, product: str, row: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        """Say which model knows a product, and what it is asked."""
        code = self.parts["product_codes"].get(product)
        return (product, row) if code is None else ("rare", row.assign(product_code=code))

    def _chance(self, product: str, row: pd.DataFrame) -> float:
        name, asked = self._of(product, row)
        score = float(self.models[name].predict(asked)[0])
        if name == "rare":  # its booster gives a probability
            score = float(np.log(score / (1 - score)))
        slope, bias = self.parts["calibrators"][product]
        return float(1 / (1 + np.exp(-slope * (score + self.parts["log_rates"][product]) - bias)))

    def _preferences(self, row: pd.DataFrame, products: list[str]) -> np.ndarray:
        asked = pd.concat([row] * len(products), ignore_index=True)
        codes = [float(self.parts["offer_codes"][one]) for one in products]
        values = [codes, [0.0] * len(products), [np.nan] * len(products)]
        asked = asked.assign(**dict(zip(CONTEXT, values, strict=True)))
        return np.asarray(self.models["channel"].predict(asked))

    def _reasons(self, product: str, row: pd.DataFrame) -> list[dict[str, Any]]:
        name, asked = self._of(product, row)
        moved = self.explainers[name](asked).values[0]
        strongest = np.argsort(-np.abs(moved))[:REASONS]
        return [{"feature": asked.columns[k], "contribution": float(moved[k])} for k in strongest]
