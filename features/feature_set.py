"""A feature set: the names a model reads, in order, and the codes of its categories."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.config import StrictConfig
from features.feature import Feature

Matrix = npt.NDArray[np.float64]


class FeatureSet(StrictConfig):
    """What a release reads of a customer.

    ``groups`` gives each feature's group; ``vocabularies`` each category's words, whose positions
    are the codes. A word not seen in training, and a missing value, are NaN.
    """

    names: tuple[str, ...]
    groups: dict[str, str]
    vocabularies: dict[str, tuple[str, ...]]

    @cached_property
    def version(self) -> str:
        """A hash of names and vocabularies: vectors of equal versions mean the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @classmethod
    def learn(cls, table: pa.Table, features: list[Feature]) -> FeatureSet:
        """Take the words of categories from a table of training rows."""
        vocabularies = {
            feature.name: tuple(sorted(filter(None, pc.unique(table[feature.name]).to_pylist())))
            for feature in features
            if feature.category
        }
        return cls(
            names=tuple(feature.name for feature in features),
            groups={feature.name: feature.group for feature in features},
            vocabularies=vocabularies,
        )

    def encode(self, table: pa.Table) -> Matrix:
        """Turn built features into a float64 matrix of shape (rows, len(names)).

        Raises `KeyError` where the table lacks a feature of the set.
        """
        matrix = np.empty((table.num_rows, len(self.names)), dtype=np.float64)
        for position, name in enumerate(self.names):
            column = table[name].combine_chunks()
            if name in self.vocabularies:
                words = pa.array(self.vocabularies[name], pa.string())
                column = pc.index_in(column, value_set=words).cast(pa.float64())
            matrix[:, position] = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(
                zero_copy_only=False
            )
        return matrix
