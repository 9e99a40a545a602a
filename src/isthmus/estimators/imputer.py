"""Gaps filled, as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin  # pyright: ignore[reportMissingTypeStubs]

from isthmus.artifact import Artifact
from isthmus.data import Schema, Source, from_any
from isthmus.data.checks import listing
from isthmus.data.kinds import ColumnKind
from isthmus.errors import ConfigError, DataError
from isthmus.estimators.border import RandomState, check_columns, draw_seed, require_fitted
from isthmus.estimators.frames import cast_like, from_objects_array, masked
from isthmus.estimators.shown import Shown
from isthmus.tasks.completed import completed
from isthmus.tasks.config import Config
from isthmus.tasks.impute import Imputed, as_columns, fit, impute, softened

Array = NDArray[Any]
_INDICATOR = "missingindicator_"


@dataclass(eq=False, repr=False)
class IsthmusImputer(Shown, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fills gaps of numbers, categories, booleans, counts and dates by an autoencoder that learned to fill gaps made on purpose.

    Parameters
    ----------
    draws : int, default=5
        How many random fillings `draw` returns.
    missing_values : number, str or None, default=nan
        What stands for a missing value, beside NaN, None and null, which always do: -1, say, or "?".
    add_indicator : bool, default=False
        Whether a column is added for each that had gaps in fitting, which says where the gaps are: `get_feature_names_out` calls it
        ``missingindicator_`` and its name.
    keep_empty_features : bool, default=False
        Whether columns of which nothing was observed in fitting are kept, their gaps filled with 0 where they hold numbers; otherwise
        they are left out of the result.
    family : str, optional
        Kind of autoencoder; "denoising" by default, which was made for this.
    steps : int, optional
        Training steps; by the number of rows if None.
    schema : Schema, optional
        What the columns are; by default what they look like.
    random_state : int, RandomState instance or None, default=0
        Decides everything random. None gives another result at each fit.

    Attributes
    ----------
    artifact_ : Artifact
        The fitted model, which can be saved.
    empty_ : list of int
        Positions of the columns of which nothing was observed.
    indicated_ : list of int
        Positions of the columns that had gaps and some values.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names; only where X had some.

    Notes
    -----
    What was observed comes back unchanged. Identifiers are left alone: where they have gaps a warning says so.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import IsthmusImputer
    >>> rows = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 2.0, -1.0]
    >>> rows[0, 1] = np.nan
    >>> filled = IsthmusImputer(steps=200).fit_transform(rows)
    >>> bool(abs(filled[0, 1] - 2 * rows[0, 0]) < 0.5)
    True
    """

    draws: int = 5
    _: KW_ONLY
    missing_values: Any = np.nan
    add_indicator: bool = False
    keep_empty_features: bool = False
    family: str | None = None
    steps: int | None = None
    schema: Schema | None = None
    random_state: RandomState = 0

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Learn to fill the gaps of rows such as these.

        Parameters
        ----------
        X : array, tensor or frame of shape (n, d)
            NumPy, torch, pandas, polars, Arrow or nested lists; NaN, None or null where a value is missing.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the data cannot be used, or are too few.
        ConfigError
            If a parameter is wrong.
        """
        source = self._read(X, reset=True)
        config = Config(family=self.family, steps=self.steps, seed=draw_seed(self.random_state))
        schema = self.schema or softened(source, _schema(source))
        self.artifact_: Artifact = fit(source, config, schema=schema)
        gaps = np.isnan(source.array)
        self.empty_: list[int] = np.flatnonzero(gaps.all(0)).tolist()
        self.indicated_: list[int] = np.flatnonzero(gaps.any(0) & ~gaps.all(0)).tolist()
        return self

    def transform(self, X: Any) -> Any:
        """Return the rows with their gaps filled by the likeliest values, of the kind that was given.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray or frame of shape (n, `len(get_feature_names_out())`)

        Warns
        -----
        UserWarning
            If an identifier, which is left alone, has gaps.
        """
        source = self._ready(X)
        return self._completed(X, source, impute(self.artifact_, source))

    def draw(self, X: Any, draws: int | None = None) -> list[Any]:
        """Return the rows with their gaps filled at random, as likely as the model holds them, several times.

        Parameters
        ----------
        X : as for `fit`
        draws : int, optional
            How many times; the parameter `draws` if None.

        Returns
        -------
        list of ndarray or frame

        Raises
        ------
        ConfigError
            If it is not at least once.
        """
        count = self.draws if draws is None else draws
        if count < 1:
            raise ConfigError(f"draws must be at least 1, not {count}")
        source = self._ready(X)
        found = impute(self.artifact_, source, count, draw_seed(self.random_state))
        return [self._completed(X, source, found, number) for number in range(count)]

    def spread(self, X: Any) -> Array:
        """Return how sure each filled value is.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of shape (n, d)
            Standard deviation of numbers, counts and dates (in seconds), probability of the category or boolean chosen; NaN where a
            value was observed and in columns that are left out.
        """
        source = self._ready(X)
        schema = self.artifact_.schema
        out = np.full((len(source), len(schema.types)), np.nan)
        out[:, [j for j, column in enumerate(schema.types) if column.used]] = impute(self.artifact_, source).spread
        return out

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the columns where `fit` saw none; x0, x1 ... by default.

        Returns
        -------
        ndarray of str objects
        """
        require_fitted(self)
        inherited: Any = super()
        names: list[str] = inherited.get_feature_names_out(input_features).tolist()
        kept = [name for j, name in enumerate(names) if j not in self._dropped]
        return np.array([*kept, *(f"{_INDICATOR}{names[j]}" for j in self._indicators)], dtype=object)

    @property
    def _dropped(self) -> list[int]:
        return [] if self.keep_empty_features else self.empty_

    @property
    def _indicators(self) -> list[int]:
        return self.indicated_ if self.add_indicator else []

    def _completed(self, X: Any, source: Source, found: Imputed, draw: int | None = None) -> Any:
        table = completed(source, self.artifact_.schema, found, draw)
        for j in self.empty_:
            if source.types[j] == "number":
                table[source.names[j]] = np.nan_to_num(source.array[:, j])
        self._warn_of_gaps(source)
        for j in self._dropped:
            del table[source.names[j]]
        for j in self._indicators:
            table[f"{_INDICATOR}{source.names[j]}"] = np.isnan(source.array[:, j])
        return cast_like(X, table, source.names)

    def _warn_of_gaps(self, source: Source) -> None:
        schema = self.artifact_.schema
        alone = [name for name, column in zip(source.names, schema.types) if column.kind == "identifier"]
        left = [name for name in alone if np.isnan(source.array[:, source.names.index(name)]).any()]
        if left:
            mend = "drop them, or say with schema what kind they are"
            warnings.warn(f"X: gaps of {listing(left)} are not filled, for these look like identifiers: {mend}", stacklevel=3)

    def _read(self, X: Any, *, reset: bool) -> Source:
        source = as_columns(from_objects_array(X) or from_any(X))
        check_columns(self, source.array if isinstance(X, Source) else X, reset=reset, flat=True)
        return masked(source, self.missing_values)

    def _ready(self, X: Any) -> Source:
        require_fitted(self)
        return self._read(X, reset=False)

    def __sklearn_tags__(self) -> Any:
        inherited: Any = super()
        tags = inherited.__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def _schema(source: Source) -> Schema:
    """Infer what the columns are. Those of an array have no names by which to leave them out: what looks like an identifier is a number."""
    numbers: dict[str, ColumnKind] = {name: "number" for name, kind in zip(source.names, source.types) if kind == "number"}
    if source.columns and source.columns != tuple(f"c{j}" for j in range(len(source.columns))):
        return Schema.infer(source)
    try:
        found = Schema.infer(source)
    except DataError:
        return Schema.infer(source, kinds=numbers)
    identifiers = {column.name for column in found.types if column.kind == "identifier"}
    again: dict[str, ColumnKind] = {name: kind for name, kind in numbers.items() if name in identifiers}
    return Schema.infer(source, kinds=again) if again else found
