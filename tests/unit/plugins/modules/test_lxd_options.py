# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An object has the same options in a module of its own and as an item of a module that takes lists."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.modules import (
    lxd_fabric,
    lxd_instance,
    lxd_instances,
    lxd_network,
    lxd_profile,
    lxd_project,
    lxd_storage_pool,
    lxd_storage_volume,
)

Options = dict[str, dict[str, t.Any]]


def options_of(module: t.Any) -> Options:
    return dict(yaml.safe_load(module.DOCUMENTATION)["options"])


def without_words(options: Options) -> Options:
    return {
        name: {key: value for key, value in option.items() if key != "description"} for name, option in options.items()
    }


def test_an_instance_is_the_same_in_a_list() -> None:
    single = options_of(lxd_instance)
    item = options_of(lxd_instances)["instances"]["suboptions"]
    assert list(item) == list(single)
    # That of an item is the list's, unless it says something else.
    assert single.pop("timeout") == options_of(lxd_instances)["timeout"]
    assert item.pop("timeout")["type"] == "int"
    assert item == single


# What only the module of its own has: it needs more requests than a list is to take.
OF_ITS_OWN = {"target", "source", "move_from", "timeout"}


@pytest.mark.parametrize(
    ("module", "key"),
    [
        (lxd_project, "project"),
        (lxd_storage_pool, "pools"),
        (lxd_network, "networks"),
        (lxd_profile, "profiles"),
        (lxd_storage_volume, "volumes"),
    ],
)
def test_what_lies_under_instances_is_the_same_in_the_fabric(module: t.Any, key: str) -> None:
    item = options_of(lxd_fabric)[key]["suboptions"]
    single = options_of(module)
    shared = {name: option for name, option in single.items() if name in item or name not in OF_ITS_OWN}
    assert list(item) == list(shared)
    assert without_words(item) == without_words(shared)
