# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_file import (
    DeclarationError,
    expand_variables,
    overlay,
    parse,
)


def problems(text: str) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        parse(text, "f.yml")
    return [str(finding) for finding in caught.value.findings]


def test_each_value_has_its_line():
    document = parse("a:\n  b: 1\n  c:\n    - d: 2\n    - e\n", "f.yml")
    assert document.data == {"a": {"b": 1, "c": [{"d": 2}, "e"]}}
    assert [document.place(path).line for path in [("a", "b"), ("a", "c", 0, "d"), ("a", "c", 1)]] == [2, 4, 5]


def test_a_value_that_is_missing_stands_where_it_would():
    assert parse("a:\n  b: 1\n", "f.yml").place(("a", "c", "d")).line == 1


def test_a_date_stays_what_was_written():
    assert parse("a: 2026-01-01\n", "f.yml").data == {"a": "2026-01-01"}


def test_an_empty_file_is_an_empty_declaration():
    assert parse("# nothing\n", "f.yml").data == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n", "f.yml:2: the file: is not YAML (expected ',' or ']', but got '<stream end>'); allowed: YAML"),
        ("- a\n", "f.yml:1: the file: is not a mapping; allowed: keys with values, such as name: mysite"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f.yml:4: b.c: stands twice in the same mapping; allowed: each key once"),
        ("a: !!python/name:os.system x\n", "f.yml:1: a: cannot be read (could not determine a constructor for"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "f.yml:3: c.<<: merging by << is not read; allowed: each key written out"),
        ("? [a, b]\n: 1\n", "f.yml:1: the file: has a key that is not text; allowed: text before each colon"),
        ("a: &x [*x]\n", "f.yml:1: the file: has an alias that contains itself; allowed: aliases of what is complete"),
        ("$ANSIBLE_VAULT;1.1;AES256\n61\n", "f.yml:1: the file: is encrypted; allowed: plain YAML:"),
        ("a: b\n\tc: 1\n", "f.yml:2: the file: is not YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text, expected):
    assert [problem[: len(expected)] for problem in problems(text)] == [expected]


def test_overlay_merges_mappings_and_what_has_a_name():
    below = parse("a: {x: 1, y: 2}\nl: [{name: p, v: 1}, {name: q, v: 2}]\nm: [1, 2]\n", "below.yml")
    above = parse("a: {y: 3}\nl:\n  - {name: q, v: 4}\n  - {name: r, v: 5}\nm: [3]\n", "above.yml")
    merged = overlay(below, above)
    assert merged.data == {
        "a": {"x": 1, "y": 3},
        "l": [{"name": "p", "v": 1}, {"name": "q", "v": 4}, {"name": "r", "v": 5}],
        "m": [3],
    }
    assert str(merged.place(("a", "x"))) == "below.yml:1"
    assert str(merged.place(("a", "y"))) == "above.yml:1"
    assert str(merged.place(("l", 1, "v"))) == "above.yml:3"
    assert str(merged.place(("l", 2, "v"))) == "above.yml:4"
    assert str(merged.place(("m", 0))) == "above.yml:5"
    assert below.data["l"] == [{"name": "p", "v": 1}, {"name": "q", "v": 2}]


def test_overlay_with_null_takes_away():
    merged = overlay(parse("a: {x: 1}\n", "below.yml"), parse("a: null\n", "above.yml"))
    assert merged.data == {"a": None}
    assert str(merged.place(("a", "x"))) == "above.yml:1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/${B}/c", "/a/b/c"),
        ("${B:-x}", "b"),
        ("${EMPTY:-x}", "x"),
        ("${NONE:-}", ""),
        ("$B {B}", "$B {B}"),
        ("${NONE:-/var/lib}/x", "/var/lib/x"),
    ],
)
def test_variables_of_the_environment(text, expected):
    assert expand_variables(text, {"B": "b", "EMPTY": ""}) == expected


def test_a_variable_without_value_is_named():
    with pytest.raises(KeyError, match="NONE"):
        expand_variables("${NONE}", {})
