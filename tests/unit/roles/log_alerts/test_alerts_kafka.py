# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Kafka's own clients are used, with others in their place that remember what they were told."""

from __future__ import annotations

import sys
import types

import pytest
from bcm_alerts import book, kafka
from bcm_alerts.book import Book, values_of
from bcm_alerts.cases import Case, Name
from bcm_alerts.kafka import SetbackError, Trouble
from bcm_alerts.seat import Seat
from bcm_alerts.settings import Settings
from bcm_alerts.stream import Stream

from ansible_collections.bcm.datacenter.tests.unit.roles.log_alerts.telling import NOW

SETTINGS = Settings("home", "manager-1", ("b:9092",), (), {}, topics=("logs.system",))


class FakeError:
    def __init__(self, name):
        self.words = name

    def name(self):
        return self.words

    def str(self):
        return f"it is {self.words}"


class Message:
    def __init__(self, topic, partition, offset, value=None, key=b"k", error=None, at=0.0):
        self.told = (topic, partition, offset, value, key, error, at)

    def topic(self):
        return self.told[0]

    def partition(self):
        return self.told[1]

    def offset(self):
        return self.told[2]

    def value(self):
        return self.told[3]

    def key(self):
        return self.told[4]

    def error(self):
        return self.told[5]

    def timestamp(self):
        return 1, int(self.told[6] * 1000)


def end(topic, partition, offset=0):
    return Message(topic, partition, offset, error=FakeError("_PARTITION_EOF"))


class Client:
    """A consumer and a producer, as a test wants them."""

    made: list[Client]
    topics: dict[str, int]
    answers: list[list[Message]]
    fails: str

    def __init__(self, options, logger=None):
        self.options, self.did = options, []
        self.made.append(self)

    def __getattr__(self, name):
        def called(*arguments, **options):
            if self.fails == name:
                raise RuntimeError(FakeError("refused"))
            self.did.append((name, *arguments, *options.values()))

        return called

    def list_topics(self, timeout):
        topics = {
            name: types.SimpleNamespace(error=None, partitions=dict.fromkeys(range(count)))
            for name, count in self.topics.items()
        }
        return types.SimpleNamespace(topics=topics)

    def consume(self, _most, _seconds):
        return self.answers.pop(0) if self.answers else []

    def offsets_for_times(self, places, timeout):
        self.did.append(("times", [(place.partition, place.offset) for place in places]))
        for place in places:
            place.offset = 40 if place.partition == 0 else -1
        return places

    def get_watermark_offsets(self, _place, timeout):
        return 5, 77


class Place:
    def __init__(self, topic, partition, offset=-1001):
        self.topic, self.partition, self.offset = topic, partition, offset

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __hash__(self):
        return hash(self.topic)


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """The library in whose place this is."""

    topics = {"logs.system": 2, "alerts.state": 1, "alerts": 1}
    fresh = type("Fresh", (Client,), {"made": [], "answers": [], "fails": "", "topics": topics})
    found = types.SimpleNamespace(Producer=fresh, Consumer=fresh, TopicPartition=Place, OFFSET_BEGINNING=-2)
    monkeypatch.setitem(sys.modules, "confluent_kafka", found)
    return fresh


def test_nobody_writes_but_the_last_who_came(library):
    library.answers = [[end("alerts.state", 0)]]
    one = Book(SETTINGS, Trouble())
    one.open()
    producer = library.made[0]
    assert producer.options["transactional.id"] == "log-alerts"
    assert producer.did == [("init_transactions", kafka.PATIENCE)]


def test_all_of_it_is_one_transaction(library):
    library.answers = [[end("alerts.state", 0)]]
    one = Book(SETTINGS, Trouble())
    one.open()
    producer = library.made[0]
    producer.did.clear()
    cases = {Name("mine", "manager-1"): Case(host="manager-1", since=NOW), Name("mine", "old"): None}
    one.keep({("logs.system", 0): 7}, cases, [{"alert": "mine/manager-1", "state": "raised"}], NOW)
    did = producer.did
    assert [step[0] for step in did] == ["begin_transaction", *["produce"] * 4, "commit_transaction"]
    assert [step[1:3] for step in did[1:5]] == [
        ("alerts", "mine/manager-1"),
        ("alerts.state", '["case","mine","manager-1",""]'),
        ("alerts.state", '["case","mine","old",""]'),
        ("alerts.state", "position"),
    ]
    assert did[3][3] is None


@pytest.mark.parametrize("step", ["init_transactions", "commit_transaction", "produce"])
def test_what_cannot_be_written_is_begun_again(library, step):
    library.answers = [[end("alerts.state", 0)]]
    one = Book(SETTINGS, Trouble())
    library.fails = step
    if step != "init_transactions":
        one.open()
    with pytest.raises(SetbackError, match="it is refused"):
        one.open() if step == "init_transactions" else one.keep({}, {}, [{"alert": "a"}], NOW)


def test_what_was_remembered_is_the_last_of_each_key(library):
    first = values_of({("logs.system", 0): 7}, {Name("a", "h"): Case(last=1.0), Name("b", "h"): Case(last=2.0)}, NOW)
    second = values_of({("logs.system", 0): 9}, {Name("b", "h"): None}, NOW + 1)
    told = [
        Message("alerts.state", 0, 0, value, key.encode()) for part in (first, second) for key, value in part.items()
    ]
    library.answers = [told[:2], [], told[2:], [end("alerts.state", 0)]]
    memory = book.read(SETTINGS, Trouble())
    assert memory.places == {("logs.system", 0): 9}
    assert memory.cases == {Name("a", "h"): Case(last=1.0)}
    assert memory.at == NOW + 1
    assert library.made[-1].options["isolation.level"] == "read_committed"
    assert ("close",) in library.made[-1].did


@pytest.mark.parametrize(("key", "value"), [(b"position", b"{"), (b"mine", b"{}"), (b"position", b"[]")])
def test_what_another_program_has_written_is_no_memory(library, key, value):
    library.answers = [[Message("alerts.state", 0, 0, value, key), end("alerts.state", 0)]]
    with pytest.raises(SetbackError, match="alerts.state holds what this program has not written"):
        book.read(SETTINGS, Trouble())


@pytest.mark.parametrize("value", [None, b"", b"x", b"[" * 100_000, b"[]", b'{"alert": "a"}', b'"alert state"'])
def test_what_another_program_has_written_is_no_alert(monkeypatch, value):
    ours = b'{"alert": "a", "state": "raised"}'
    found = [Message("alerts", 0, number, one, at=book.time.time()) for number, one in enumerate((value, ours))]
    monkeypatch.setattr(book, "everything", lambda *_arguments: iter(found))
    assert book.history(SETTINGS, Trouble(), 60) == [{"alert": "a", "state": "raised"}]


def test_where_it_begins(library):
    one = Stream(SETTINGS, Trouble())
    assert one.open({}, NOW) == {("logs.system", 0): 40, ("logs.system", 1): 77}
    asked = int((NOW - 3600) * 1000)
    assert ("times", [(0, asked), (1, asked)]) in library.made[0].did
    # Beside a partition that was read there is another one now: all of it is new.
    one = Stream(SETTINGS, Trouble())
    assert one.open({("logs.system", 1): 3}, NOW) == {("logs.system", 0): 40, ("logs.system", 1): 3}
    assert ("times", [(0, 0)]) in library.made[1].did
    assert library.made[1].did[-1] == ("assign", [Place("logs.system", 1, 3), Place("logs.system", 0, 40)])


def test_whether_all_was_read(library):
    one = Stream(SETTINGS, Trouble())
    places = one.open({}, NOW)
    assert not one.live(places, NOW)
    library.answers = [[end("logs.system", 0), Message("logs.system", 1, 3, b"x"), end("logs.system", 1)]]
    assert list(one.read(0.1, NOW)) == [(("logs.system", 1), 3, b"x")]
    assert one.live(places, NOW + 9999)
    library.answers = [[Message("logs.system", 1, 4, b"y")]]
    assert list(one.read(0.1, NOW + 10)) == [(("logs.system", 1), 4, b"y")]
    # There are more, and it was at the end a while ago.
    assert one.live(places, NOW + 29)
    assert not one.live(places, NOW + 31)
    library.topics = {**library.topics, "logs.system": 3}
    assert one.grown(places)


def test_what_is_wrong_is_said(library):
    one = Stream(SETTINGS, Trouble())
    one.open({}, NOW)
    library.answers = [[Message("logs.system", 0, 0, error=FakeError("TOPIC_AUTHORIZATION_FAILED"))]]
    with pytest.raises(SetbackError, match="topic logs.system: it is TOPIC_AUTHORIZATION_FAILED"):
        list(one.read(0.1, NOW))
    library.topics = {"alerts.state": 1}
    with pytest.raises(SetbackError, match="Kafka has no topic logs.system, or does not let it be read"):
        Stream(SETTINGS, Trouble()).open({}, NOW)


def test_the_seat(library):
    one = Seat(SETTINGS, Trouble())
    one.open()
    given: list[Message | None] = [None, Message("alerts.state", 0, 0, b"x"), None, None]
    library.poll = lambda _self, _seconds: given.pop(0)
    assert (one.poll(0), one.joined) == (False, False)
    one.given(None, [])
    assert (one.poll(0), one.joined) == (False, True)
    one.given(None, [Place("alerts.state", 1)])
    assert one.poll(0) is False
    given.append(None)
    one.given(None, [Place("alerts.state", 0)])
    assert (one.poll(0), one.joined) == (True, True)
    # Another one has come, and this one keeps it.
    one.given(None, [])
    one.taken(None, [Place("alerts.state", 1)])
    assert one.held
    one.taken(None, [Place("alerts.state", 0)])
    assert not one.held
    given.append(Message("", 0, 0, error=FakeError("GROUP_AUTHORIZATION_FAILED")))
    with pytest.raises(SetbackError, match="group log-alerts: it is GROUP_AUTHORIZATION_FAILED"):
        one.poll(0)


def test_trouble_is_remembered_since_it_began():
    trouble = Trouble()
    trouble.on_error(FakeError("one"))
    since = trouble.since
    trouble.on_error(FakeError("two"))
    assert (trouble.words, trouble.since) == ("it is two", since)
    assert not trouble.alone
    trouble.on_error(FakeError("_ALL_BROKERS_DOWN"))
    assert trouble.alone
    trouble.passed()
    assert (trouble.words, trouble.since) == ("", 0.0)
