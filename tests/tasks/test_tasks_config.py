"""Settings: one table, checked, written and read back."""

from __future__ import annotations

import tomllib

import pytest

from isthmus.errors import ConfigError, DataError
from isthmus.tasks.config import Config

FULL = Config(
    family="variational",
    latent=3,
    hidden=(8, 4),
    tied=False,
    likelihood_scale="one",
    beta=0.5,
    kl_warmup=7,
    steps=9,
    learning_rate=1e-3,
    held_out=0.25,
    device="cpu",
)


@pytest.mark.parametrize("name", ["c.toml", "c.yaml", "C.YML"])
def test_what_is_written_is_read_back(tmp_path, name) -> None:
    FULL.write(tmp_path / name)
    assert Config.read(tmp_path / name) == FULL


def test_the_file_explains_each_setting(tmp_path) -> None:
    FULL.write(tmp_path / "c.toml", {"columns": ("länge", 'a"b')})
    text = (tmp_path / "c.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["columns"] == ["länge", 'a"b']
    for name in FULL.given():
        assert f"# {Config.help()[name][1]}\n{name} = " in text


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"latent": 2.0}, "latent must be a whole number, not 2.0"),
        ({"latent": True}, "latent must be a whole number, not True"),
        ({"hidden": 4}, "hidden must be a list of whole numbers, not 4"),
        ({"hidden": [4, "a"]}, "hidden must be a list of whole numbers"),
        ({"beta": "much"}, "beta must be a number, not 'much'"),
        ({"likelihood_scale": []}, "likelihood_scale must be a number or text"),
        ({"tied": 1}, "tied must be true or false, not 1"),
        ({"bata": 1}, "unknown setting 'bata'; did you mean 'beta'?"),
        ({1: 1}, "unknown setting 1"),
    ],
)
def test_wrong_entries_are_named(entries, told) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(entries, "here")
    assert str(caught.value).startswith(f"here: {told}")


def test_whole_numbers_serve_as_numbers_and_none_as_nothing() -> None:
    config = Config.from_mapping({"beta": 2, "likelihood_scale": 1, "latent": None})
    assert (config.beta, config.likelihood_scale, config.latent) == (2.0, 1.0, None)
    assert isinstance(config.beta, float)


def test_a_file_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"c\.toml"):
        FULL.write(tmp_path / "file" / "c.toml")
    with pytest.raises(ConfigError, match=r"\.toml, \.yaml or \.yml"):
        FULL.write(tmp_path / "c.json")


def test_yaml_without_its_package_names_the_extra(tmp_path, monkeypatch) -> None:
    import sys

    from isthmus.errors import MissingExtraError

    FULL.write(tmp_path / "c.yaml")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isthmus\[yaml\]'"):
        Config.read(tmp_path / "c.yaml")


def test_yaml_runs_no_code(tmp_path) -> None:
    (tmp_path / "c.yaml").write_text("latent: !!python/object/apply:os.getpid []\n")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        Config.read(tmp_path / "c.yaml")
