"""Posteriors and priors by name."""

from __future__ import annotations

from isthmus.bottlenecks import (
    AutoregressiveFlow,
    Beta,
    Bottleneck,
    Categories,
    FullGaussian,
    Gaussian,
    Kumaraswamy,
    Laplace,
    PlanarFlow,
    SplineFlow,
    VonMisesFisherCode,
)
from isthmus.errors import ConfigError
from isthmus.fields import Field
from isthmus.priors import Flow, Mixture, Prior, Spline, StandardNormal, UniformCategories, UniformCube, UniformSphere, Vamp

POSTERIORS = {
    "gaussian": "Gaussian with independent units; in closed form, and the quickest",
    "full": "Gaussian with any covariance, for codes up to some tens",
    "laplace": "Laplace with independent units: heavier tails",
    "planar": "Gaussian bent by planar flows",
    "iaf": "Gaussian bent by inverse autoregressive flows",
    "spline": "Gaussian bent by rational-quadratic splines (neural spline flow)",
    "sphere": "von Mises-Fisher on the unit sphere; its prior is uniform",
    "cube": "Kumaraswamy on the unit cube; its prior is uniform",
    "beta": "Beta on the unit cube; its prior is uniform",
    "categories": "groups of categories, relaxed in training; their prior is uniform",
}
PRIORS = {
    "normal": "standard normal",
    "mixture": "learned mixture of Gaussians",
    "vamp": "mixture of the posteriors of learned pseudo-rows (Gaussian posteriors only)",
    "flow": "standard normal bent by coupling layers, learned",
    "spline": "standard normal bent by coupling layers of splines, learned",
}
UNIFORM = ("sphere", "cube", "beta", "categories")


def make_posterior(name: str, latent: int) -> Bottleneck:
    """Build the bottleneck called `name`.

    Raises
    ------
    ConfigError
        If there is none of this name, or it does not go with the width.
    """
    if name not in POSTERIORS:
        raise ConfigError(f"unknown posterior {name!r}; choose one of {', '.join(POSTERIORS)}")
    kinds: dict[str, type[Bottleneck]] = {"gaussian": Gaussian, "full": FullGaussian, "laplace": Laplace, "planar": PlanarFlow}
    kinds |= {"iaf": AutoregressiveFlow, "spline": SplineFlow, "sphere": VonMisesFisherCode, "cube": Kumaraswamy, "beta": Beta}
    return kinds[name](latent) if name in kinds else Categories(latent, group_size(latent))


def group_size(latent: int, most: int = 8) -> int:
    """Return the largest divisor of `latent` from 2 to `most`, or 2 if there is none."""
    return next((size for size in range(min(most, latent), 1, -1) if latent % size == 0), 2)


def make_prior(name: str, field: Field, bottleneck: Bottleneck, posterior: str, components: int) -> Prior:
    """Build the prior called `name` for a bottleneck that is called `posterior`.

    Raises
    ------
    ConfigError
        If there is none of this name, or the posterior has another of its own.
    """
    if name not in PRIORS:
        raise ConfigError(f"unknown prior {name!r}; choose one of {', '.join(PRIORS)}")
    if posterior in UNIFORM and name != "normal":
        raise ConfigError(f"the posterior {posterior!r} has a uniform prior of its own, not prior={name!r}: leave prior out")
    if name == "vamp" and posterior != "gaussian":
        raise ConfigError(f"prior='vamp' needs posterior='gaussian', not {posterior!r}")
    latent = bottleneck.latent
    if isinstance(bottleneck, Categories):
        return UniformCategories(latent, bottleneck.categories)
    if posterior in UNIFORM:
        return UniformSphere(latent) if posterior == "sphere" else UniformCube(latent)
    if name == "vamp":
        return Vamp(latent, field.shape, components, unit=field.support != "real")
    return {"normal": StandardNormal, "flow": Flow, "spline": Spline}[name](latent) if name != "mixture" else Mixture(latent, components)
