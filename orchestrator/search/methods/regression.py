"""Regression models of an adaptive search: of cross-entropy with its noise, and of other columns in logarithms."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import BayesianRidge

Array = npt.NDArray[np.float64]

# Priors of the logarithms of what the kernel is fitted to, as (mean, standard deviation), for columns and values of
# unit spread. Long length scales mean that a column does not matter until the data say so; see `Kriging`.
PRIOR_LENGTH = (2.0, 1.0)
PRIOR_VARIANCE = (0.0, 1.0)
PRIOR_NOISE = (math.log(0.03), 1.0)
MAX_ITERATIONS = 15
MAX_ROWS_TO_FIT = 250  # of the kernel's parameters; more change little and take seconds
MIN_STD = 1e-6


class Kriging:
    """A Gaussian process with one length scale per column, each with a prior, and noise.

    Without the prior, tens of rows with as many columns are fitted at random (rank correlation on held-out trials of
    `benchmarks/search_tables`, 30 rows: 0.46 without, 0.81 with; extremely randomized trees: 0.72). The form of the
    prior is that of Hvarfner et al., 2024, arXiv 2402.02229.

    Args:
        rows, values: what the kernel is fitted to; float64[n, d], float64[n].
    """

    def __init__(self, rows: Array, values: Array) -> None:
        fitted = _WithPriors(_kernel(rows.shape[1]), optimizer=_minimize, normalize_y=True)
        self._mean, self._std = rows.mean(axis=0), rows.std(axis=0)
        self._std[self._std < MIN_STD] = 1.0
        step = -(-len(rows) // MAX_ROWS_TO_FIT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(self._scaled(rows[::step]), values[::step])
        self._kernel = fitted.kernel_
        self._process = fitted

    def observe(self, rows: Array, values: Array, nums: Array | None = None) -> None:
        """Predict from these, with the kernel as it was fitted.

        Args:
            nums: how many trials each value is the mean of, one by default: its noise is smaller by that.
        """
        less = 0.0 if nums is None else self._kernel.k2.noise_level * (1 / nums - 1)
        self._process = GaussianProcessRegressor(self._kernel, alpha=1e-10 + less, optimizer=None, normalize_y=True)
        self._process.fit(self._scaled(rows), values)

    def means(self, rows: Array) -> Array:
        """Those of `predict`, many times faster."""
        found: Array = self._process.predict(self._scaled(rows))
        return found

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Means, and standard deviations of the means: without the noise of a single trial."""
        mean, std = self._process.predict(self._scaled(rows), return_std=True)
        return mean, np.sqrt(np.maximum(std**2 - self.noise_std**2, MIN_STD**2))

    def predict_values(self, rows: Array) -> tuple[Array, Array]:
        """Means, and standard deviations of single trials: with their noise."""
        mean, std = self._process.predict(self._scaled(rows), return_std=True)
        return mean, np.maximum(std, MIN_STD)

    def leave_one_out(self) -> tuple[Array, Array]:
        """What `predict_values` would say of each observed row without that row; the kernel stays as it is.

        In closed form: Rasmussen and Williams, 2006, "Gaussian Processes for Machine Learning", equation 5.12.
        """
        process = self._process
        inverse = cho_solve((process.L_, True), np.eye(len(process.X_train_)))
        variance = 1 / np.diag(inverse)
        means = process.y_train_ - process.alpha_ * variance
        return means * process._y_train_std + process._y_train_mean, np.sqrt(variance) * process._y_train_std

    @property
    def noise_std(self) -> float:
        """Standard deviation of a single trial around the mean of its config."""
        return math.sqrt(self._kernel.k2.noise_level) * float(self._process._y_train_std)

    def _scaled(self, rows: Array) -> Array:
        scaled: Array = (rows - self._mean) / self._std
        return scaled


class LogLinear:
    """A linear model of the logarithm of a positive column, with its spread (Bayesian ridge regression)."""

    def __init__(self, rows: Array, values: Array) -> None:
        self._mean = float(np.log(values).mean()) if len(values) else 0.0
        self._model = BayesianRidge().fit(rows, np.log(values)) if len(values) >= 3 else None

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Means and standard deviations of the logarithm."""
        if self._model is None:
            return np.full(len(rows), self._mean), np.full(len(rows), 0.1)
        mean, std = self._model.predict(rows, return_std=True)
        return mean, np.maximum(std, 1e-3)


class _WithPriors(GaussianProcessRegressor):  # type: ignore[misc]
    """The regressor of scikit-learn with priors on the parameters of the kernel that `_kernel` gives."""

    def log_marginal_likelihood(self, theta: Any = None, eval_gradient: bool = False, clone_kernel: bool = True) -> Any:
        found = super().log_marginal_likelihood(theta, eval_gradient, clone_kernel)
        if theta is None:
            return found
        means, stds = (np.array(one) for one in zip(*_priors(len(theta) - 2), strict=True))
        distance = (theta - means) / stds
        log_prior = -0.5 * float(distance @ distance)
        return (found[0] + log_prior, found[1] - distance / stds) if eval_gradient else found + log_prior


def _priors(num_columns: int) -> list[tuple[float, float]]:
    return [PRIOR_VARIANCE, *[PRIOR_LENGTH] * num_columns, PRIOR_NOISE]


def _kernel(num_columns: int) -> Any:
    lengths = [math.exp(PRIOR_LENGTH[0])] * num_columns
    signal = ConstantKernel(1.0, (0.02, 50.0)) * Matern(lengths, length_scale_bounds=(0.02, 2_000.0), nu=2.5)
    return signal + WhiteKernel(math.exp(PRIOR_NOISE[0]), (1e-5, 2.0))


def _minimize(objective: Any, start: Array, bounds: Array) -> tuple[Array, float]:
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": MAX_ITERATIONS})
    return found.x, float(found.fun)
