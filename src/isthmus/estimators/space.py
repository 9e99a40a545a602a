"""What every fitted estimator can do with its codes: sample, interpolate, traverse, edit, group, and be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Source, from_any
from isthmus.errors import DataError
from isthmus.estimators.border import RandomState, draw_seed, require_fitted
from isthmus.estimators.frames import given_back
from isthmus.estimators.rows import laid_out
from isthmus.tasks import sample, space

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.tasks.coded import CodedEvaluation
    from isthmus.tasks.evaluate import Effort, Evaluation

Array = NDArray[Any]


class CodeSpace:
    """Methods of a fitted estimator that work on its space of codes; a base of `BaseAutoencoder`."""

    artifact_: Artifact
    _row_shape: tuple[int, ...]
    _frame: Any

    if TYPE_CHECKING:

        def _read(self, X: Any, reset: bool = False) -> Source: ...

        def _as_rows(self, source: Source) -> Source: ...

    def sample(self, n_samples: int = 1, *, random_state: RandomState = None, mean: bool = False, density: str = "auto") -> Array:
        """Draw new rows: a code, then a row from the decoder's distribution.

        Parameters
        ----------
        n_samples : int
        random_state : int, RandomState instance or None
            An int gives the same rows each time; None gives others each time.
        mean : bool
            Return the mean of the decoder's distribution instead of a draw from it: smoother than data are.
        density : {"auto", "prior", "ex_post"}
            Where codes come from: the model's prior, or a mixture of Gaussians that `fit` fitted to the codes after training. "auto" takes
            the one under which codes of held-out rows are likelier; ``artifact_.facts["density"]`` tells which.

        Returns
        -------
        ndarray of shape (n_samples, d), or that of the pictures fitted on
            In the data's own units. Of mixed columns a frame as was fitted on, its numbers within the range of those fitted on.

        Raises
        ------
        ConfigError
            If `n_samples` is below 1, or the model has no such density.
        """
        require_fitted(self)
        rows = sample.sample(self.artifact_, n_samples, seed=draw_seed(random_state), mean=mean, density=density)
        return self._given_back(rows)

    def interpolate(self, a: Any, b: Any, steps: int = 8, *, spherical: bool = False, along: str | None = None) -> Array:
        """Go from row to row through the code and decode on the way.

        Parameters
        ----------
        a, b : array, tensor or frame
            One row each, or as many rows in `a` as in `b`.
        steps : int
            Codes on each path, both ends included; at least 2.
        spherical : bool
            Short for ``along="sphere"``.
        along : {"line", "sphere", "decoder"}, optional
            A straight line (default); a great circle with the length blended; or the decoder's geometry, with even steps in the data.

        Returns
        -------
        ndarray of shape (steps, \\*row) for one row each, else (n, steps, \\*row)
            Of mixed columns a frame of n * steps rows, path after path.

        Raises
        ------
        DataError
            If the rows do not fit the model, or `a` and `b` differ in number.
        ConfigError
            If `steps` is below 2, or `along` is unknown.
        """
        require_fitted(self)
        single = np.ndim(a) == np.ndim(b) == len(self._row_shape)
        ends = [self._as_rows(from_any(np.asarray(end)[None])) if single else self._read(end) for end in (a, b)]
        count, other = map(len, ends)
        if count != other:
            raise DataError(f"a has {count} rows and b has {other}: give as many of each")
        schema = self.artifact_.schema
        both = np.concatenate([schema.align(end) for end in ends])
        given = [end.condition for end in ends]
        known = None if any(part is None for part in given) else np.concatenate([np.asarray(part) for part in given])
        source = Source(schema.kind, both, schema.columns, condition=known)
        found = sample.interpolate(self.artifact_, source, [(i, count + i) for i in range(count)], steps, spherical, along)
        return self._paths(found[0] if single and schema.kind != "columns" else found)

    def traverse(self, X: Any, row: int | None = None, steps: int = 9, top: int = 10) -> space.Traversal:
        """Move one unit of the code at a time and decode, the most used units (by KL, else by variance) first.

        Parameters
        ----------
        X : as for `fit`
            Rows by which units are ranked and their ranges found.
        row : int, optional
            Row of `X` whose code the others stay at; the mean code if None.
        steps : int
            Values a unit, from three standard deviations below its mean to three above.
        top : int
            How many units at most.

        Returns
        -------
        Traversal
            With `dimensions`, `importance`, `values` and decoded `rows` of shape (units, steps, \\*row).
        """
        source = self._known(X)
        found = space.traverse(self.artifact_, source, row, steps, top)
        return replace(found, rows=self._paths(found.rows))

    def attribute_vector(self, X: Any, y: Any, against: Mapping[str, Any] | None = None, ridge: float | None = None) -> Array:
        """Return the direction of an attribute in the code, for `edit`.

        Parameters
        ----------
        X : as for `fit`
        y : array of shape (n,)
            Two different values; the larger one means that a row has the attribute.
        against : mapping of str to array, optional
            Other attributes of the same rows, which must not change along: the direction is made orthogonal to theirs.
        ridge : float, optional
            Fisher's discriminant with this ridge, such as 1, instead of the difference of the means: what varies anyway weighs less.

        Returns
        -------
        ndarray of shape (latent,)

        Raises
        ------
        DataError
            If there is not one label a row, or not two different ones.
        ConfigError
            If `ridge` is not above 0.
        """
        from isthmus.tasks.codes import encode

        others = {name: np.asarray(values) for name, values in (against or {}).items()}
        return space.attribute_vector(encode(self.artifact_, self._known(X)), np.asarray(y), others, ridge)

    def edit(self, X: Any, vector: Any, strength: float | Sequence[float] = 1.0, *, residual: bool = False) -> Array:
        """Move the codes of rows along a direction and decode.

        Parameters
        ----------
        X : as for `fit`
        vector : array of shape (latent,)
            From `attribute_vector`.
        strength : float or sequence of float
            1 goes as far as the means of the classes lie apart, a negative number the other way.
        residual : bool
            Add what the edit changes to the rows themselves, so that what the code does not hold, such as detail, stays.

        Returns
        -------
        ndarray of the shape of X, or (n, strengths, \\*row) for several

        Raises
        ------
        DataError
            If the vector is not as wide as the code.
        """
        found = space.edit(self.artifact_, self._known(X), np.asarray(vector), strength, residual)
        return self._paths(found, deep=bool(np.ndim(strength)))

    def arithmetic(self, X: Any, plus: Sequence[int], minus: Sequence[int] = ()) -> Array:
        """Add and subtract codes of rows of `X` and decode the result, such as ``plus=[0, 2], minus=[1]``.

        Parameters
        ----------
        X : as for `fit`
        plus, minus : sequence of int
            Row numbers.

        Returns
        -------
        ndarray of shape (1, \\*row)
        """
        return self._given_back(space.arithmetic(self.artifact_, self._known(X), plus, minus))

    def cluster(self, X: Any, groups: int | None = None, *, random_state: RandomState = 0) -> space.Clusters:
        """Group rows by a mixture of Gaussians on their codes.

        Parameters
        ----------
        X : as for `fit`
        groups : int, optional
            How many; the number that explains held-out codes best if None.
        random_state : int, RandomState instance or None

        Returns
        -------
        Clusters
            With `labels`, `probabilities`, decoded `centres` and each row's `distances` from its group's centre.
        """
        source = self._known(X)
        found = space.cluster(self.artifact_, source, groups, draw_seed(random_state))
        return replace(found, centres=self._given_back(found.centres))

    def uncertainty(self, X: Any) -> space.Uncertainty:
        """Measure how sure the code of every row is.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        Uncertainty
            With `spread` (of the posterior), `distance` (of the code from the nearest group of codes) and `rebuilt` (spread of the
            reconstruction over draws of the code).
        """
        source = self._known(X)
        return space.uncertainty(self.artifact_, source)

    def neighbours(self, X: Any, among: Any, count: int = 5) -> tuple[Array, Array]:
        """Find the rows of `among` whose codes are nearest to those of `X`.

        Parameters
        ----------
        X, among : as for `fit`
        count : int
            How many for each row.

        Returns
        -------
        rows, distances : ndarray of shape (n, count)
            Nearest first.
        """
        source = self._known(X)
        return space.neighbours(self.artifact_, source, self._known(among), count)

    def evaluate(
        self, X: Any, effort: Effort | None = None, *, treatment: str = "none", random_state: RandomState = 0
    ) -> Evaluation | CodedEvaluation:
        """Measure a variational model: ELBO and its parts, log p(x), the gap between them, and the use of the code.

        Parameters
        ----------
        X : as for `fit`
            Rows that were not trained on.
        effort : isthmus.tasks.evaluate.Effort, optional
            How much is spent: draws, rows for annealed importance sampling, rows whose posterior is optimised.
        treatment : {"none", "threshold", "sample", "dequantise"}
            What is done to grey values first.
        random_state : int, RandomState instance or None

        Returns
        -------
        isthmus.tasks.evaluate.Evaluation
            Of vqvae and fsq, whose code is one of finitely many, isthmus.tasks.coded.CodedEvaluation.

        Raises
        ------
        ConfigError
            If the model has no prior.
        """
        from isthmus.tasks.coded import evaluate_codes, is_coded
        from isthmus.tasks.evaluate import evaluate

        source = self._known(X)
        measure = evaluate_codes if is_coded(self.artifact_) else evaluate
        return measure(self.artifact_, source, effort, treatment, draw_seed(random_state))

    def _known(self, X: Any) -> Source:
        require_fitted(self)
        return self._read(X)

    def _given_back(self, rows: Array) -> Array:
        return given_back(self.artifact_, rows, self._row_shape, self._frame)

    def _paths(self, rows: Array, deep: bool = True) -> Array:
        """Return decoded rows with one axis before the row's own, or two if `deep`, in the caller's layout."""
        schema = self.artifact_.schema
        if not deep or rows.ndim == 1 + len(schema.shape):
            return self._given_back(rows)
        flat = rows.reshape(-1, *rows.shape[2:])
        if schema.kind == "columns":
            return self._given_back(flat)
        laid = laid_out(flat, self._row_shape)
        return laid.reshape(*rows.shape[:2], *laid.shape[1:])
