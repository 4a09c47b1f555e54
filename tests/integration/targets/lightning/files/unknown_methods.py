#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the methods that bitcoind's help lists on the standard input, those that module bitcoin_rpc does not know."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "plugins" / "module_utils"))

import _bitcoin_methods as methods


def main() -> None:
    lines = [line.split() for line in sys.stdin if line.strip() and not line.startswith("==")]
    listed = [words[0] for words in lines]
    if len(listed) < 100:
        sys.exit(f"That is no list of methods: {len(listed)}")
    unknown = sorted(set(listed) - set(methods.METHODS))
    if unknown:
        sys.exit(f"not known to bitcoin_rpc: {', '.join(unknown)}")


if __name__ == "__main__":
    main()
