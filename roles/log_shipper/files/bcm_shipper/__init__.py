# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what journald keeps to Kafka. The journal is the queue: what is not acknowledged is read again.

    position    where in the journal an entry is
    journal     reading it, one entry after the other, and noticing when one is missing
    redaction   what is secret in a message
    ledger      numbers, limits and secrets of each source, as one state that can be kept
    records     an entry as what Kafka gets
    progress    what is acknowledged, and the file that remembers it
    sender      Kafka's client
    session     all of these together, until something fails
    status      what a person or verify.yml is told

Nothing but journal, sender and __main__ touches what is outside, and they are given to the others.
"""
