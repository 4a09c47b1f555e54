# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the lines that all hosts log into alerts, by rules, each raised once and resolved once.

    settings    what the role says
    rules       which lines a rule is about, and how it counts them
    cases       what is remembered of one thing that a rule looks at
    engine      from lines and the passing of time to alerts: no files, no network, no clock of its own
    words       alerts in the words of a person
    book        the memory of all this in Kafka, written together with the alerts or not at all
    stream      the lines, from where the book says
    seat        who of several works, while the others wait
    session     all of these together, until something fails
    status      what a person or verify.yml is told

Nothing but book, stream, seat and __main__ touches what is outside, and they are given to the others.
"""
