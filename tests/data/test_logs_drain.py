"""The miner of templates."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data.logs import Fit, Miner, read_log
from isthmus.data.logs.drain import OVERFLOW, REMEMBERED, mask
from isthmus.errors import ArtifactError, ConfigError

WORDS = st.lists(st.sampled_from(["open", "close", "file", "a1", "b2", "77", "ok", "<*>", "user", "eve"]), max_size=6).map(" ".join)


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("took 15ms", "took <#>ms"),
        ("10.0.0.1:80 and -7.5", "<#> and <#>"),
        ("eth0 md5 utf8", "eth0 md5 utf8"),
        ("id deadbeef01 dead beef", "id <#> dead beef"),
        ("6f1b5a52-1c4e-4b5e-9f0e-1a2b3c4d5e6f", "<#>"),
        ("0xFFfe core.4900 size=9", "<#> core.<#> size=<#>"),
    ],
)
def test_masking(text, wanted):
    assert mask(text) == wanted


def test_templates_are_loosened_where_messages_differ():
    miner = Miner()
    assert miner.add("user eve logged in from home") == (1, Fit.NEW)
    assert miner.add("user bob logged in from home") == (1, Fit.LOOSER)
    assert miner.add("user bob logged in from home") == (1, Fit.KNOWN)
    assert miner.add("user bob logged in") == (2, Fit.NEW)
    assert miner.templates[1].text == "user <*> logged in from home"
    assert miner.templates[1].count == 3


def test_another_level_is_another_template():
    miner = Miner()
    assert miner.add("disk check", "INFO")[0] != miner.add("disk check", "FATAL")[0]


def test_finding_learns_nothing():
    miner = Miner()
    miner.add("user eve logged in from home")
    before = miner.state()
    assert miner.find("user eve logged in from home") == (1, Fit.KNOWN)
    assert miner.find("user bob logged in from home") == (1, Fit.LOOSER)
    assert miner.find("segmentation fault") == (None, Fit.NEW)
    assert miner.state() == before


def test_beyond_the_limit_messages_count_as_one_template():
    miner = Miner(limit=2)
    found = [miner.add(text)[0] for text in ("one", "two words", "three words here", "and four words here", "one")]
    assert found == [1, 2, OVERFLOW, OVERFLOW, 1]
    assert len(miner.templates) == 3


def test_the_limit_of_children_shares_a_place():
    miner = Miner(children=3)
    for word in ("alpha", "beta", "gamma", "delta"):
        miner.add(f"{word} x")
    assert {template.path for template in miner.templates.values() if template.number} == {("alpha",), ("beta",), ("<*>",)}


class NoMemory(dict):
    def __setitem__(self, key, value):
        pass


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=40))
def test_remembering_decisions_changes_nothing(messages):
    quick, slow = Miner(), Miner()
    slow._known = NoMemory()
    assert [quick.add(text) for text in messages] == [slow.add(text) for text in messages]


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=30), st.lists(WORDS, max_size=30))
def test_a_saved_tree_goes_on_as_it_would_have(before, after):
    miner = Miner(children=4)
    for text in before:
        miner.add(text)
    again = Miner.from_state(json.loads(json.dumps(miner.state())))
    assert [again.add(text) for text in after] == [miner.add(text) for text in after]
    assert again.state() == miner.state()


def test_what_is_remembered_is_bounded():
    miner = Miner()
    miner.add("x 1 y")
    for i in range(REMEMBERED + 10):
        miner.find(f"{'a' * (i % 50)}x{i}")
        miner.add(f"value v{i} seen")
    assert len(miner._known) <= REMEMBERED


def test_real_messages_group_as_expected(real_data):
    miner = Miner()
    keys = [miner.add(record.message)[0] for records, _ in read_log(real_data / "logs" / "Apache_2k.log") for record in records]
    assert len(set(keys)) == 6
    assert "jk2_init() Found child <#> in scoreboard slot <#>" in {template.text for template in miner.templates.values()}


@pytest.mark.parametrize("state", [{}, {"templates": 3}, {"depth": 4, "similarity": 0.4, "children": 100, "limit": 9, "templates": [[1]]}])
def test_a_broken_tree_is_refused(state):
    with pytest.raises(ArtifactError, match="broken"):
        Miner.from_state(state)


@pytest.mark.parametrize("wrong", [{"depth": 2}, {"similarity": 1.5}, {"children": 1}, {"limit": 0}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ConfigError):
        Miner(**wrong)
