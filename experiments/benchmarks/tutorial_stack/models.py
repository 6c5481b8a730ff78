"""Keep the boosters of a release in MLflow, one model a product, as they were trained."""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd

from features.online import OnlineStore
from training.models.boosters import one_output
from training.models.release import Release

PARTS = "parts.json"
CUSTOMERS = "customers.parquet"
CONTEXT = ["offer_code", "stage_code", "amount_cny"]


def keep_models(work: Path, folder: Path) -> None:
    """Log the start models and the channel model of a work folder, and write out its customers.

    ``folder`` gets an MLflow database, its artifacts, `parts.json` (where each model is, and what
    the service needs to know of it) and `customers.parquet` (a row of features a customer).
    """
    release = Release.load(work / "release")
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("tutorial", artifact_location=str(folder / "artifacts"))
    learned = release.next_product.learned_
    # Rare products share one model that knows the product as one more column.
    code_of = {product: float(code) for code, product in enumerate(learned.pooled)}
    texts = {
        product: one_output(release.next_product.merged_text_ or "", place)
        for place, product in enumerate(learned.merged)
    }
    if learned.pooled:
        texts["rare"] = release.next_product.pooled_text_ or ""
    texts["channel"] = release.channel_preference.text_
    with mlflow.start_run(experiment_id=experiment):
        models = {
            name: mlflow.lightgbm.log_model(lgb.Booster(model_str=text), name=name).model_uri
            for name, text in texts.items()
        }
    preference = release.channel_preference.learned_
    parts = {
        "tracking_uri": mlflow.get_tracking_uri(),
        "models": models,
        "products": list(release.products),
        "product_codes": code_of,
        "log_rates": learned.log_sampling_rate,
        "calibrators": {k: [one.slope, one.bias] for k, one in learned.calibrators.items()},
        "channels": list(preference.channels),
        "offer_codes": {offer: code for code, offer in enumerate(preference.offers)},
        "groups": release.feature_set.groups,
    }
    (folder / PARTS).write_text(json.dumps(parts), "utf-8")
    _customers(work, list(release.feature_names)).to_parquet(folder / CUSTOMERS)


def _customers(work: Path, names: list[str]) -> pd.DataFrame:
    with OnlineStore(work / "online.sqlite") as store:
        read = {one: store.read(one) for one in store.customer_ids()}
    vectors = {
        customer: one.vector for customer, one in read.items() if one and one.vector is not None
    }
    return pd.DataFrame(np.array(list(vectors.values())), index=list(vectors), columns=names)
