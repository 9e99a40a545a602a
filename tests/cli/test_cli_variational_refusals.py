"""What the variational kin cannot take is refused with one clear line: by the commands and by the estimators."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from isthmus.errors import ConfigError, DataError
from isthmus.estimators import (
    VQVAE,
    Autoencoder,
    ConditionalVAE,
    FSQAutoencoder,
    ImportanceWeightedAutoencoder,
    LadderVAE,
    VariationalAutoencoder,
)
from isthmus.tasks import density
from isthmus.tasks.evaluate import Effort

GREY = load_digits().images.reshape(1797, 64)[:200] / 16
COINS = (GREY > 0.5).astype(np.float32)
LABELS = load_digits().target[:200]
COUNTS = "negative_binomial", "poisson", "multinomial"


@pytest.fixture
def tables(tmp_path):
    np.savez(tmp_path / "grey.npz", x=GREY.reshape(-1, 8, 8))
    numbers = np.random.default_rng(0).integers(0, 9, (60, 4)).astype(float)
    for name, values in (
        ("counts", numbers),
        ("negative", numbers - 4),
        ("halves", numbers + 0.5),
        ("copies", numbers[:, :1].repeat(4, 1)),
    ):
        np.savetxt(tmp_path / f"{name}.csv", values, delimiter=",", header="a,b,c,d", comments="")
    np.savetxt(tmp_path / "coins.csv", (numbers > 4).astype(int), fmt="%d", delimiter=",", header="a,b,c,d", comments="")
    (tmp_path / "few.txt").write_text("1\n" * 9)
    (tmp_path / "y.txt").write_text("\n".join(str(i % 3) for i in range(60)))
    (tmp_path / "new.txt").write_text("\n".join(str(i % 4) for i in range(60)))
    return tmp_path


@pytest.mark.usefixtures("tables")
def test_data_outside_a_likelihoods_support(good, refused) -> None:
    told = refused("fit", "grey.npz", "--family", "vae", "--likelihood", "bernoulli", "--out", "m")
    assert "'bernoulli' explains only 0 and 1" in told
    assert "--likelihood continuous_bernoulli" in told
    for likelihood in COUNTS:
        for name, value in (("negative", "-"), ("halves", ".5")):
            told = refused("fit", f"{name}.csv", "--family", "vae", "--likelihood", likelihood, "--out", "m")
            assert f"'{likelihood}' explains counts" in told
            assert value in told.split("has ")[1].split(" in")[0]
    good("fit", "coins.csv", "--family", "vae", "--latent", 2, "--steps", 5, "--out", "coins")
    good("fit", "counts.csv", "--family", "vae", "--likelihood", "poisson", "--latent", 2, "--steps", 5, "--out", "counts")
    for command in ("score", "evaluate"):
        assert "explains only 0 and 1, but row 0 has" in refused(command, "coins", "halves.csv")
        assert "explains counts, but row" in refused(command, "counts", "negative.csv")


@pytest.mark.usefixtures("tables")
def test_conditions_that_do_not_fit(good, refused) -> None:
    fit = ("fit", "counts.csv", "--family", "conditional_vae", "--latent", 2, "--steps", 5, "--out", "m")
    assert "9 labels, but the data have 60 rows" in refused(*fit, "--condition", "few.txt")
    good(*fit, "--condition", "y.txt")
    for command in ("score", "evaluate"):
        assert "the class '3', which was not there in training; known are 0, 1, 2" in refused(
            command, "m", "counts.csv", "--condition", "new.txt"
        )
        assert "9 labels, but the data have 60 rows" in refused(command, "m", "counts.csv", "--condition", "few.txt")
    assert "the class '7', which was not there" in refused("sample", "m", "--condition", 7, "--out", "s.csv")


@pytest.mark.usefixtures("tables")
def test_numbers_that_are_too_small(good, refused) -> None:
    for family in ("vae", "vqvae", "fsq", "linear"):
        for latent in (0, -1):
            told = refused("fit", "counts.csv", "--family", family, "--latent", latent, "--out", "m")
            assert f"--latent must be at least 1, not {latent}" in told
    assert "the number of draws k must be at least 1" in refused("fit", "counts.csv", "--family", "iwae", "--draws", 0, "--out", "m")
    good("fit", "counts.csv", "--family", "vae", "--latent", 2, "--steps", 5, "--out", "m")
    for draws in (0, -5):
        assert f"the number of draws k must be at least 1, not {draws}" in refused("evaluate", "m", "counts.csv", "-k", draws)


@pytest.mark.usefixtures("tables")
def test_families_without_a_prior_say_how_they_are_sampled(good, refused) -> None:
    for family in ("undercomplete", "rae"):
        good("fit", "counts.csv", "--family", family, "--latent", 2, "--steps", 5, "--out", family)
        assert "has no prior: draw from the density of its codes, --density ex_post" in refused(
            "sample", family, "--density", "prior", "--out", "s.csv"
        )
        assert "fitted to the codes" in good("sample", family, "--out", "s.csv")
        assert "ex-post density of its codes" in refused("evaluate", family, "counts.csv")
        assert "knows no condition" in refused("sample", family, "--condition", 1, "--out", "s.csv")
    good("fit", "counts.csv", "--family", "wae", "--latent", 2, "--steps", 5, "--out", "wae")
    assert "there is no posterior to measure. Its samples can be measured" in refused("evaluate", "wae", "counts.csv")


@pytest.mark.usefixtures("tables")
def test_columns_that_copy_each_other_are_no_singular_covariance(good) -> None:
    good("fit", "copies.csv", "--family", "vae", "--posterior", "full", "--latent", 3, "--steps", 40, "--out", "full")
    good("evaluate", "full", "copies.csv", "-k", 10, "--gap-rows", 0)
    good("sample", "full", "--density", "ex_post", "--out", "s.csv")
    good("fit", "copies.csv", "--family", "linear", "--latent", 3, "--out", "linear")
    good("sample", "linear", "--out", "s.csv")


def test_a_covariance_that_stays_singular_is_said() -> None:
    broken = torch.tensor([[[1.0, 2.0], [2.0, 1.0]]])
    with pytest.raises(ConfigError, match=r"covariance of the codes is singular.*smaller latent or fewer components"):
        density._factored(broken)


REFUSED = {
    "grey values for coins": (lambda: VariationalAutoencoder(3, likelihood="bernoulli").fit(GREY), "explains only 0 and 1"),
    "negative counts": (lambda: VariationalAutoencoder(3, likelihood="poisson").fit(GREY.round() - 1), "explains counts, but row 0 has -1"),
    "negative words": (
        lambda: VariationalAutoencoder(3, likelihood="multinomial").fit(GREY.round() - 1),
        "explains counts, but row 0 has -1",
    ),
    "no unit": (lambda: VariationalAutoencoder(0).fit(GREY), "latent must be at least 1, not 0"),
    "no word": (lambda: VQVAE(0).fit(GREY), "latent must be at least 1, not 0"),
    "no level": (lambda: FSQAutoencoder(0).fit(GREY), "latent must be at least 1, not 0"),
    "no two levels": (lambda: LadderVAE(1).fit(GREY), "a ladder needs two levels"),
    "no draw": (lambda: ImportanceWeightedAutoencoder(3, draws=0).fit(GREY), "the number of draws k must be at least 1"),
    "no importance sample": (lambda: Effort(draws=0), "the number of draws k must be at least 1, not 0"),
    "few labels": (lambda: ConditionalVAE(3).fit(GREY, LABELS[:9]), "there are 200 rows but 9 conditions (y)"),
    "no label": (lambda: ConditionalVAE(3).fit(GREY), "needs the class of each row"),
    "a missing label": (
        lambda: ConditionalVAE(3).fit(GREY, np.where(LABELS == 3, np.nan, LABELS)),
        "the condition is missing in 21 of 200 rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_estimators_refuse_the_same(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises((ConfigError, DataError), match=re.escape(message)):
        call()


def test_fitted_estimators_refuse_the_same() -> None:
    told = ConditionalVAE(3, steps=5, random_state=0).fit(GREY, LABELS)
    with pytest.raises(DataError, match="the class '77', which was not there in training"):
        told.score_samples(GREY[:3], [1, 2, 77])
    with pytest.raises(DataError, match=re.escape("there are 3 rows but 2 conditions (y)")):
        told.score_samples(GREY[:3], [1, 2])
    with pytest.raises(DataError, match="the class '77'"):
        told.sample(3, y=77)
    coins = VariationalAutoencoder(3, steps=5, likelihood="bernoulli", random_state=0).fit(COINS)
    assert np.isfinite(coins.score_samples(COINS)).all()
    with pytest.raises(DataError, match="explains only 0 and 1, but row 0 has"):
        coins.score_samples(GREY)
    with pytest.raises(DataError, match="explains only 0 and 1"):
        coins.evaluate(GREY, Effort(draws=2, gap_rows=0))
    assert coins.evaluate(GREY, Effort(draws=2, gap_rows=0), treatment="threshold").rows == 200
    drawn = VariationalAutoencoder(3, steps=5, binarise="dynamic", random_state=0).fit(GREY)
    assert np.isfinite(drawn.score_samples(GREY)).all()
    plain = Autoencoder(3, steps=5, random_state=0).fit(GREY)
    with pytest.raises(ConfigError, match="has no prior: draw from the density of its codes"):
        plain.sample(3, density="prior")
    with pytest.raises(ConfigError, match="ex-post density of its codes"):
        plain.evaluate(GREY)
