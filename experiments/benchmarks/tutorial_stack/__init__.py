"""The stack that tutorials show, as a good one would build it: what our service is held against.

BentoML with one `@bentoml.api`, models kept in MLflow and loaded with `mlflow.pyfunc.load_model`, a
pandas row a request, `shap.TreeExplainer` for the reasons. Everything that can be made once is
made at start, LightGBM has one thread, and MLflow checks no signature: all to its advantage.
"""
