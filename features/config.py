"""Typed configuration: every YAML file is parsed once, strictly, into a frozen model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import ConfigError, did_you_mean


class StrictConfig(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML keeps the last of two equal keys in silence; a bank's policy must not."""


def _construct_unique(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ConfigError(f"key '{key}' stands twice (again in line {line})")
        seen.add(key)
    return dict(loader.construct_pairs(node, deep=True))


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique)


def read_yaml(path: Path) -> Any:
    """Parse a YAML file; `ConfigError` names the file, and the line where it is not YAML."""
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file; {did_you_mean(path.name, near)}")
    try:
        return yaml.load(path.read_text("utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; keep one of them") from None
    except (yaml.YAMLError, ValueError) as error:  # no text; no day (2026-04-31)
        raise ConfigError(f"{path}: not valid YAML: {error}") from None


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Parse `path` as `model`; every wrong key is named with its place and the nearest match."""
    return parse_config(read_yaml(path), model, str(path))


def parse_config(raw: Any, model: type[Model], where: str) -> Model:
    """Validate already parsed YAML; `where` opens each line of the error."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(where, dict(item), model) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _explain(where: str, item: dict[str, Any], model: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in item["loc"]) or "(top)"
    if item["type"] == "extra_forbidden":
        parent = _model_at(model, item["loc"][:-1])
        fields = list(parent.model_fields) if parent else []
        hint = did_you_mean(str(item["loc"][-1]), fields) if fields else "remove it"
        return f"{where}: unknown key '{place}'; {hint}"
    if item["type"] == "missing":
        return f"{where}: key '{place}' is missing; add it"
    given = repr(item.get("input"))
    shown = given if len(given) <= 80 else given[:77] + "..."
    return f"{where}: '{place}': {item['msg']} (got {shown})"


def _model_at(model: type[BaseModel], loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """Follow a pydantic error location to the model whose key was unknown."""
    current: type[BaseModel] | None = model
    for part in loc:
        if current is None or not isinstance(part, str) or part not in current.model_fields:
            continue
        current = _inner_model(current.model_fields[part].annotation)
    return current


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _inner_model(inner)
        if found is not None:
            return found
    return None
