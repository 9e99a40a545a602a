"""The estimators as scikit-learn's users use them, on real data."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isthmus
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.config import Config

CLASSES = [
    isthmus.LinearAutoencoder,
    isthmus.Autoencoder,
    isthmus.SparseAutoencoder,
    isthmus.DenoisingAutoencoder,
    isthmus.VariationalAutoencoder,
]
GENERAL = {"family", "seed"}


def quick(cls, **parameters):
    return cls(**({"steps": 30, "random_state": 0} | parameters))


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture(scope="module")
def iris() -> pd.DataFrame:
    return load_iris(as_frame=True).data


@pytest.fixture(scope="module")
def iris_array(iris) -> np.ndarray:
    return iris.to_numpy()


# --- parameters ---------------------------------------------------------------------------------------------------------


def test_parameters_are_the_settings_of_the_family(cls):
    from isthmus.families import get

    options = set(get(cls.family).options) - {"architecture"}
    signature = inspect.signature(cls)
    assert options - {"corruption"} <= set(signature.parameters)
    assert set(signature.parameters) - {"random_state", "picture_shape", "kinds", "verbose"} <= set(Config.help())
    assert all(entry.default is None for name, entry in signature.parameters.items() if name != "verbose")


def test_every_parameter_is_documented(cls):
    for name in inspect.signature(cls).parameters:
        assert f"\n{name} : " in cls.__doc__


def test_choices_tell_what_was_given_and_what_was_chosen(cls, iris_array):
    model = quick(cls, latent=3).fit(iris_array)
    assert model.choices_["latent"].value == 3 == model.latent_
    assert model.choices_["latent"].why == "given"
    assert model.choices_["scaling"].why != "given"
    assert model.choices_["seed"].value == 0


def test_a_parameter_of_the_wrong_type_names_itself(cls, iris_array):
    with pytest.raises(ConfigError, match=r"latent must be a whole number, not 'two'"):
        quick(cls, latent="two").fit(iris_array)


def test_verbose_writes_to_the_error_stream(cls, iris_array, capsys):
    quick(cls).fit(iris_array)
    assert capsys.readouterr() == ("", "")
    quick(cls, verbose=2).fit(iris_array)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"[{cls.__name__}] latent = " in err


# --- scikit-learn's tools -----------------------------------------------------------------------------------------------


def test_clone_is_unfitted_and_fits_to_the_same(cls, iris_array):
    model = quick(cls).fit(iris_array)
    other = clone(model)
    with pytest.raises(NotFittedError):
        other.transform(iris_array)
    np.testing.assert_array_equal(other.fit_transform(iris_array), model.transform(iris_array))


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output(cls, iris, container):
    codes = quick(cls, latent=2).set_output(transform=container).fit_transform(iris)
    assert type(codes).__module__.startswith(container)
    assert list(codes.columns) == [f"{cls.__name__.lower()}{i}" for i in range(2)]
    assert len(codes) == len(iris)


def test_pipeline_there_and_back(cls, iris):
    pipeline = make_pipeline(StandardScaler(), quick(cls)).fit(iris)
    codes = pipeline.transform(iris)
    assert pipeline.inverse_transform(codes).shape == iris.shape
    assert list(pipeline.get_feature_names_out()) == [f"{cls.__name__.lower()}{i}" for i in range(codes.shape[1])]
    assert pipeline.score(iris) == pytest.approx(pipeline.score_samples(iris).mean())


def test_grid_search_over_the_code(cls, iris_array):
    search = GridSearchCV(quick(cls), {"latent": np.array([1, 3])}, cv=2).fit(iris_array)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.latent_ == search.best_params_["latent"]


def test_grid_search_finds_that_more_components_explain_more(iris_array):
    search = GridSearchCV(isthmus.LinearAutoencoder(), {"latent": [1, 2, 3]}, cv=3).fit(iris_array)
    assert search.best_params_ == {"latent": 3}
    assert (np.diff(search.cv_results_["mean_test_score"]) > 0).all()


# --- copies -------------------------------------------------------------------------------------------------------------


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("way", [lambda m: pickle.loads(pickle.dumps(m)), by_joblib, copy.deepcopy], ids=["pickle", "joblib", "deepcopy"])
def test_copies_are_bit_equal(cls, iris, way):
    model = quick(cls, tied=True, **({} if cls.family != "variational" else {"likelihood_scale": 1.0})).fit(iris)
    other = way(model)
    for method in ("transform", "reconstruct", "score_samples"):
        np.testing.assert_array_equal(getattr(other, method)(iris), getattr(model, method)(iris))
    assert other.history_.rows == model.history_.rows
    assert list(other.feature_names_in_) == list(iris.columns)


def test_save_and_load_are_bit_equal(cls, iris, tmp_path):
    model = quick(cls, latent=2).fit(iris)
    other = cls.load(model.save(tmp_path / "model"))
    for method in ("transform", "reconstruct", "score_samples"):
        np.testing.assert_array_equal(getattr(other, method)(iris), getattr(model, method)(iris))
    assert other.n_features_in_ == 4
    assert list(other.feature_names_in_) == list(iris.columns)
    assert list(other.get_feature_names_out()) == list(model.get_feature_names_out())
    assert other.latent == 2
    assert other.n_iter_ == model.n_iter_


def test_a_loaded_model_fits_again_to_the_same(cls, iris_array, tmp_path):
    model = quick(cls).fit(iris_array)
    other = clone(cls.load(model.save(tmp_path / "model"))).fit(iris_array)
    np.testing.assert_array_equal(other.transform(iris_array), model.transform(iris_array))


def test_load_of_another_family_names_both(iris_array, tmp_path):
    quick(isthmus.SparseAutoencoder).fit(iris_array).save(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"'sparse', not 'undercomplete'"):
        isthmus.Autoencoder.load(tmp_path / "model")


# --- kinds of input -----------------------------------------------------------------------------------------------------


CONTAINERS = {
    "polars": pl.from_pandas,
    "torch": lambda frame: torch.tensor(frame.to_numpy().copy()),
    "list": lambda frame: frame.to_numpy().tolist(),
}


@pytest.mark.parametrize("convert", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_gives_the_same(cls, iris, convert):
    X = convert(iris)
    wanted = quick(cls).fit(iris)
    model = quick(cls).fit(X)
    # Memory laid out by column may be added up in another order.
    np.testing.assert_allclose(model.transform(X), wanted.transform(iris), rtol=1e-12)
    np.testing.assert_allclose(model.reconstruct(X), wanted.reconstruct(iris), rtol=1e-12)


def test_a_source_read_from_a_file(cls, iris, tmp_path):
    iris.to_csv(tmp_path / "iris.csv", index=False)
    source = isthmus.read(tmp_path / "iris.csv")
    model = quick(cls).fit(source)
    np.testing.assert_allclose(model.transform(source), quick(cls).fit(iris).transform(iris), rtol=1e-12)
    assert model.reconstruct(source).shape == iris.shape


def test_unfitted_says_so(cls, iris_array, tmp_path):
    model = quick(cls)
    for method in (model.transform, model.inverse_transform, model.reconstruct, model.score, model.save):
        with pytest.raises(NotFittedError):
            method(iris_array)
    assert not hasattr(model, "history_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_type_in_is_float_type_out(cls, iris_array, dtype):
    X = iris_array.astype(dtype)
    model = quick(cls).fit(X)
    codes = model.transform(X)
    for found in (codes, model.inverse_transform(codes), model.reconstruct(X), model.score_samples(X)):
        assert found.dtype == dtype
    assert isinstance(model.score(X), float)


def test_float64_is_computed_in_float64(cls, iris_array):
    model = quick(cls).fit(iris_array)
    one_by_one = np.concatenate([model.transform(row[None]) for row in iris_array[:20]])
    np.testing.assert_allclose(one_by_one, model.transform(iris_array)[:20], rtol=1e-12, atol=1e-14)
    rough = model.transform(iris_array.astype(np.float32))
    np.testing.assert_allclose(rough, model.transform(iris_array), rtol=1e-3, atol=1e-4)


def test_whole_numbers_come_back_as_such(iris_array):
    X = (iris_array * 10).astype(np.int64)
    model = isthmus.LinearAutoencoder(4).fit(X)
    np.testing.assert_array_equal(model.reconstruct(X), X)
    assert model.transform(X).dtype == np.float32


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (1, 8, 8)])
def test_pictures_keep_their_shape(cls, digits, shape):
    X = digits[:200].reshape(200, *shape)
    model = quick(cls, latent=5).fit(X)
    codes = model.transform(X[:7])
    assert model.n_features_in_ == 64
    assert codes.shape == (7, 5)
    assert model.reconstruct(X[:7]).shape == X[:7].shape
    np.testing.assert_allclose(model.inverse_transform(codes), model.reconstruct(X[:7]), rtol=1e-5, atol=1e-5)


def test_channels_first_is_answered_channels_first(iris_array):
    X = np.random.default_rng(0).random((20, 3, 6, 5), dtype=np.float32)
    model = isthmus.LinearAutoencoder(19).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=1e-4)


def test_rows_as_pictures(digits, tmp_path):
    flat, pictures = digits[:200].reshape(200, 64), digits[:200]
    model = quick(isthmus.Autoencoder, picture_shape=(8, 8, 1), network="conv").fit(flat)
    wanted = quick(isthmus.Autoencoder, network="conv").fit(pictures)
    np.testing.assert_array_equal(model.transform(flat), wanted.transform(pictures))
    assert model.reconstruct(flat).shape == flat.shape
    assert model.inverse_transform(model.transform(flat)).shape == flat.shape
    other = isthmus.Autoencoder.load(model.save(tmp_path / "model"))
    assert other.picture_shape == (8, 8, 1)
    assert other.inverse_transform(model.transform(flat)).shape == flat.shape
    with pytest.raises(ValueError, match="X has 60 features, but Autoencoder is expecting 64 features"):
        model.transform(flat[:, :60])


# --- seeds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES[1:], indirect=True)
def test_the_seed_decides(cls, iris_array):
    first, second, other = (quick(cls, random_state=seed).fit_transform(iris_array) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_random_state_follows_scikit_learn(iris_array):
    def codes(random_state):
        return quick(isthmus.Autoencoder, random_state=random_state).fit_transform(iris_array)

    np.testing.assert_array_equal(codes(np.random.RandomState(5)), codes(np.random.RandomState(5)))
    state = np.random.RandomState(5)
    assert not np.array_equal(codes(state), codes(state))
    assert not np.array_equal(codes(None), codes(None))


# --- bad input ----------------------------------------------------------------------------------------------------------


def test_other_width_names_both(cls, iris_array):
    model = quick(cls, latent=2).fit(iris_array)
    for method in (model.transform, model.reconstruct, model.score_samples, model.partial_fit):
        with pytest.raises(ValueError, match=rf"X has 3 features, but {cls.__name__} is expecting 4 features"):
            method(iris_array[:, :3])
    with pytest.raises(DataError, match=r"codes have 3 values a row, but the model's code is 2 wide"):
        model.inverse_transform(np.zeros((5, 3)))


def test_other_column_names_are_named(cls, iris):
    model = quick(cls).fit(iris)
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- height\n"):
        model.transform(iris.rename(columns={"sepal length (cm)": "height"}))


def test_missing_and_infinite_values_name_their_columns(cls, iris):
    holed, model = iris.copy(), quick(cls).partial_fit(iris)
    holed.iloc[3, 1] = holed.iloc[5, 2] = np.nan
    endless = iris.copy()
    endless.iloc[5, 2] = np.inf
    for method in (model.transform, model.partial_fit):
        with pytest.raises(DataError, match=r"NaN.*'sepal width \(cm\)'.*'petal length \(cm\)'"):
            method(holed)
    for method in (quick(cls).fit, model.transform, model.partial_fit):
        with pytest.raises(DataError, match=r"infinity: column 'petal length \(cm\)' has 1 infinite, the first in row 5"):
            method(endless)


def test_text_names_its_column(cls, iris):
    with pytest.raises(DataError, match=r"column 'kind' mixes types: numbers in most rows.*'setosa' in row 149"):
        quick(cls).fit(iris.assign(kind=["1"] * 149 + ["setosa"]))


def test_one_row_and_no_spread(cls, iris_array):
    with pytest.raises(DataError, match="one row"):
        quick(cls).fit(iris_array[:1])
    quick(cls, scaling="none").fit(iris_array[:1])
    with pytest.raises(DataError, match="constant"):
        quick(cls).fit(np.ones((10, 3)))


@pytest.mark.parametrize("cls", [isthmus.LinearAutoencoder, isthmus.Autoencoder], indirect=True)
def test_a_code_wider_than_the_row_warns_where_nothing_forbids_to_copy(cls, iris_array):
    with pytest.warns(UserWarning, match=r"the code \(6\) is wider than a row \(4\)"):
        quick(cls, latent=6).fit(iris_array)
    with pytest.warns(UserWarning, match=r"the code \(6\) is wider than a row \(4\)"):
        quick(cls, latent=6).partial_fit(iris_array)


@pytest.mark.parametrize("cls", [isthmus.SparseAutoencoder, isthmus.DenoisingAutoencoder, isthmus.VariationalAutoencoder], indirect=True)
def test_a_code_wider_than_the_row_is_fine_elsewhere(cls, iris_array):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quick(cls, latent=6).fit_transform(iris_array).shape == (150, 6)


# --- each family --------------------------------------------------------------------------------------------------------


def test_linear_is_principal_component_analysis(digits):
    X = digits.reshape(-1, 64).astype(np.float64)
    model = isthmus.LinearAutoencoder(10, scaling="none").fit(X)
    pca = PCA(10).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), pca.inverse_transform(pca.transform(X)), atol=1e-4)
    assert model.choices_["held_out"].why.startswith("the closed form")


def test_sparse_codes_are_sparse(digits):
    codes = isthmus.SparseAutoencoder(100, activity=0.05, steps=100, random_state=0).fit_transform(digits)
    assert ((codes != 0).sum(1) <= 5).all()
    assert (codes != 0).any()


def test_denoising_gives_back_less_noise(digits):
    rng = np.random.default_rng(0)
    noisy = digits + rng.normal(0, 0.3, digits.shape).astype(np.float32)
    model = isthmus.DenoisingAutoencoder(level=0.3, steps=300, random_state=0).fit(digits[:1500])
    rebuilt = model.reconstruct(noisy[1500:])
    assert ((rebuilt - digits[1500:]) ** 2).mean() < 0.5 * ((noisy - digits)[1500:] ** 2).mean()


@pytest.fixture(scope="module")
def vae(iris):
    return isthmus.VariationalAutoencoder(2, steps=300, random_state=0).fit(iris)


def test_encode_is_a_distribution(vae, iris):
    posterior = vae.encode(iris)
    np.testing.assert_array_equal(posterior.mean, vae.transform(iris))
    assert len(posterior) == len(iris)
    assert posterior.scale.shape == (150, 2)
    assert (posterior.scale > 0).all()


def test_samples_look_like_the_data(vae, iris_array):
    drawn = vae.sample(2000, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), iris_array.mean(0), atol=0.5 * iris_array.std(0).max())
    np.testing.assert_array_equal(drawn, vae.sample(2000, random_state=0))
    assert not np.array_equal(vae.sample(3), vae.sample(3))
    assert vae.sample(2000, random_state=0, mean=True).var(0).sum() < drawn.var(0).sum()
    with pytest.raises(ConfigError, match="at least 1"):
        vae.sample(0)


def test_interpolation_begins_and_ends_at_the_reconstructions(vae, iris, iris_array):
    path = vae.interpolate(iris_array[0], iris_array[100], steps=5)
    assert path.shape == (5, 4)
    np.testing.assert_allclose(path[[0, -1]], vae.reconstruct(iris)[[0, 100]], atol=1e-4)
    paths = vae.interpolate(iris[:3], iris[100:103], steps=4)
    assert paths.shape == (3, 4, 4)
    np.testing.assert_allclose(paths[:, -1], vae.reconstruct(iris)[100:103], atol=1e-4)
    with pytest.raises(DataError, match="a has 3 rows and b has 2"):
        vae.interpolate(iris[:3], iris[:2])


def test_interpolation_of_pictures(digits):
    model = quick(isthmus.VariationalAutoencoder).fit(digits[:, :, :, 0])
    assert model.interpolate(digits[0, :, :, 0], digits[1, :, :, 0], steps=3).shape == (3, 8, 8)
    assert model.sample(4).shape == (4, 8, 8)


def test_scores_are_the_same_each_time_and_lower_for_what_is_strange(vae, iris):
    np.testing.assert_array_equal(vae.score_samples(iris), vae.score_samples(iris))
    assert vae.score(iris * [1, -1, 1, -1]) < vae.score(iris)


# --- partial_fit --------------------------------------------------------------------------------------------------------


def test_partial_fit_learns_and_counts_on(cls, iris):
    model = quick(cls, latent=3).partial_fit(iris)
    before = model.score(iris)
    for _ in range(20):
        model.partial_fit(iris)
    assert model.score(iris) >= before - 1e-9
    assert len(model.history_) == 21
    assert list(model.feature_names_in_) == list(iris.columns)
    if cls is not isthmus.LinearAutoencoder:
        assert model.score(iris) > before
        assert model.n_iter_ == 21 * 5
        assert model.history_.column("step") == [5.0 * call for call in range(1, 22)]
        assert model.choices_["schedule"].value == "constant"


def test_linear_partial_fit_equals_one_fit(cancer):
    wanted = isthmus.LinearAutoencoder(5).fit(cancer)
    model = isthmus.LinearAutoencoder(5)
    for part in np.split(cancer, [7, 50, 300]):
        model.partial_fit(part)
    assert model.choices_["scaling"].value == "standard"
    np.testing.assert_allclose(model.transform(cancer), wanted.transform(cancer), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(model.reconstruct(cancer), wanted.reconstruct(cancer), rtol=1e-3, atol=1e-3 * cancer.std(0).max())


@pytest.mark.parametrize("pictures", [True, False])
def test_linear_partial_fit_follows_the_range_of_unit_scaling(digits, pictures):
    X = digits if pictures else digits.reshape(-1, 64)[:, 5:15]
    X = 3 * X
    wanted = isthmus.LinearAutoencoder(5, scaling="unit").fit(X)
    model = isthmus.LinearAutoencoder(5, scaling="unit")
    order = np.argsort(X.reshape(len(X), -1).max(1), kind="stable")
    for part in np.array_split(X[order], 4):
        model.partial_fit(part)
    np.testing.assert_allclose(model.reconstruct(X), wanted.reconstruct(X), atol=2e-3)


def test_linear_partial_fit_after_fit_says_that_it_starts_anew(iris_array):
    model = isthmus.LinearAutoencoder(2).fit(iris_array)
    with pytest.warns(UserWarning, match="starts anew"):
        model.partial_fit(iris_array[:50])
    wanted = isthmus.LinearAutoencoder(2).partial_fit(iris_array[:50])
    np.testing.assert_allclose(model.transform(iris_array), wanted.transform(iris_array), atol=1e-5)


@pytest.mark.parametrize("cls", CLASSES[1:], indirect=True)
def test_partial_fit_after_fit_goes_on(cls, iris_array):
    model = quick(cls).fit(iris_array)
    before = model.score(iris_array)
    for _ in range(20):
        model.partial_fit(iris_array)
    assert model.score(iris_array) > before
    assert model.n_iter_ > 30


def test_partial_fit_goes_on_the_same_after_pickle(cls, iris_array):
    model = quick(cls).partial_fit(iris_array)
    other = pickle.loads(pickle.dumps(model))
    for one in (model, other):
        one.partial_fit(iris_array)
    np.testing.assert_array_equal(model.transform(iris_array), other.transform(iris_array))


@pytest.mark.parametrize("cls", CLASSES[1:], indirect=True)
def test_partial_fit_keeps_the_state_of_the_optimiser(cls, iris_array):
    kept, dropped = (quick(cls).partial_fit(iris_array) for _ in range(2))
    dropped._kept = None
    for model in (kept, dropped):
        model.partial_fit(iris_array)
    assert not np.array_equal(kept.transform(iris_array), dropped.transform(iris_array))
    assert float(kept._kept["0.step"]) == 10
    assert float(dropped._kept["0.step"]) == 5


def test_fit_forgets_what_partial_fit_learned(cls, iris_array):
    wanted = quick(cls).fit(iris_array)
    model = quick(cls).partial_fit(iris_array * 3).fit(iris_array)
    np.testing.assert_array_equal(model.transform(iris_array), wanted.transform(iris_array))


def test_partial_fit_warm_up_counts_over_calls(iris_array):
    model = quick(isthmus.VariationalAutoencoder, warmup=10, kl_warmup=20, learning_rate=1e-3, beta=1.0)
    rates = [model.partial_fit(iris_array).history_[-1]["learning_rate"] for _ in range(3)]
    np.testing.assert_allclose(rates, [5e-4, 1e-3, 1e-3])


def test_partial_fit_of_one_row_at_a_time(cls, iris_array):
    model = quick(cls, scaling="none")
    for row in iris_array[:5]:
        model.partial_fit(row[None])
    assert np.isfinite(model.transform(iris_array)).all()
