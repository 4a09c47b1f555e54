# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark of the bus does on a manager: bus_inside.py PLACE VERB ARGUMENT... Says what came of it as JSON on a line."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLACE = Path(sys.argv[1])
READER = Path("/etc/bcm/logs")
PATIENCE = 300
# Seconds that a round takes at the most.
LATELY = 900
# As long as a line often is.
FILLING = "x" * 80
# Of a record, the message begins with the line's number.
NUMBER = re.compile(rb'"message":"(\d+) x')
RSYSLOG = """
global(workDirectory="{place}")
module(load="imjournal" StateFile="{place}/state" IgnorePreviousMessages="off" Ratelimit.Interval="0")
if $programname == "bench" then action(type="omfile" file="{place}/out")
"""


def say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


def cursor() -> None:
    """Where the journal ends."""
    argv = ["journalctl", "--quiet", "--lines=1", "--output=json", "--output-fields=MESSAGE"]
    say(cursor=json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)["__CURSOR"])


def write(lines: str) -> None:
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.connect("/run/systemd/journal/dev-log")
    for number in range(1, int(lines) + 1):
        journal.send(f"<14>bench: {number} {FILLING}".encode())
    # Until journald has taken the last one.
    subprocess.run(["journalctl", "--sync"], check=True)
    argv = ["journalctl", "--quiet", "--identifier=bench", "--lines=1", "--output=cat"]
    wait(lambda: subprocess.run(argv, capture_output=True, text=True).stdout.startswith(f"{lines} "))
    say(written=int(lines))


def wait(looks: Callable[[], bool], pause: float = 0.02) -> None:
    until = time.monotonic() + PATIENCE
    while not looks():
        if time.monotonic() > until:
            sys.exit(f"not over after {PATIENCE} s")
        time.sleep(pause)


def consumer_of(topic: str) -> tuple[Any, list[Any]]:
    """A consumer, and the partitions of a topic."""
    from confluent_kafka import Consumer, TopicPartition

    config = json.loads((READER / "config.json").read_text())
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(config["brokers"]),
            "group.id": "log-reader.bench",
            "enable.auto.commit": False,
            "security.protocol": "ssl",
            "ssl.ca.location": str(READER / "authority.pem"),
            "ssl.certificate.location": str(READER / "certificate.pem"),
            "ssl.key.location": str(READER / "key.pem"),
        }
    )
    known = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    return consumer, [TopicPartition(topic, number) for number in known]


def number_of(message: Any, key: str) -> int:
    """Of a record of the benchmark's lines, which of them it is. 0 of all others."""
    if message.error() is not None or message.key() != key.encode():
        return 0
    found = NUMBER.search(message.value())
    return int(found[1]) if found else 0


def consume(topic: str, key: str, lines: str) -> None:
    """When the last of so many lines has come, of those that come from now on."""
    consumer, places = consumer_of(topic)
    for place in places:
        # The end as it is now, and not as it is when the first line is asked for.
        _low, place.offset = consumer.get_watermark_offsets(place, timeout=20)
    consumer.assign(places)
    say(ready=True)
    seen: set[int] = set()

    def all_came() -> bool:
        seen.update(number_of(message, key) for message in consumer.consume(1000, 0.05))
        seen.discard(0)
        return len(seen) == int(lines)

    wait(all_came, pause=0)
    say(at=time.time())


def dump(topic: str, key: str, lines: str) -> None:
    """The last records of a source into a file, one a line with its key before it."""
    consumer, places = consumer_of(topic)
    for place in places:
        place.offset = int(time.time() - LATELY) * 1000
    places = consumer.offsets_for_times(places, timeout=20)
    ends = {}
    for place in places:
        _low, high = consumer.get_watermark_offsets(place, timeout=20)
        if 0 <= place.offset < high:
            ends[place.partition] = high
    consumer.assign([place for place in places if place.partition in ends])
    # Of an earlier round there are the same numbers before.
    last: dict[int, bytes] = {}

    def all_read() -> bool:
        for message in consumer.consume(1000, 0.2):
            if number := number_of(message, key):
                last[number] = message.value()
            if message.error() is None and message.offset() + 1 >= ends.get(message.partition(), 0):
                ends.pop(message.partition(), None)
        return not ends

    wait(all_read, pause=0)
    if sorted(last) != list(range(1, int(lines) + 1)):
        sys.exit(f"{len(last)} of {lines} lines are there")
    (PLACE / "records").write_bytes(b"".join(key.encode() + b"\t" + last[one] + b"\n" for one in sorted(last)))
    say(bytes=(PLACE / "records").stat().st_size)


def unpacked(name: str) -> tuple[str, dict[str, str]]:
    """A program of a package that was not installed, and how it finds its libraries."""
    libraries = ":".join(map(str, PLACE.glob("root/usr/lib/*-linux-gnu")))
    program = next(found for found in (PLACE / "root/usr" / name, Path("/usr") / name) if found.exists())
    return str(program), {**os.environ, "LD_LIBRARY_PATH": libraries}


def rsyslog(cursor: str, lines: str) -> None:
    """The same lines by rsyslog: from where the journal ended before them, until the last one is in its file."""
    (PLACE / "rsyslog.conf").write_text(RSYSLOG.format(place=PLACE))
    (PLACE / "state").write_text(cursor)
    out = PLACE / "out"
    out.unlink(missing_ok=True)
    program, env = unpacked("sbin/rsyslogd")
    modules = [*PLACE.glob("root/usr/lib/*-linux-gnu/rsyslog"), *Path("/usr/lib").glob("*-linux-gnu/rsyslog")]
    argv = [program, "-n", "-f", str(PLACE / "rsyslog.conf"), "-i", str(PLACE / "pid"), "-M", str(modules[0])]
    begun = time.time()
    with (PLACE / "rsyslog.log").open("w") as log:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_through() -> bool:
        if process.poll() is not None:
            sys.exit(f"rsyslogd ended: {(PLACE / 'rsyslog.log').read_text()[-2000:]}")
        return out.exists() and f" {lines} x".encode() in tail(out)

    try:
        wait(is_through)
        took = time.time() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    count = sum(1 for _line in out.open("rb"))
    say(seconds=took, lines=count)


def tail(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - 4096))
        return opened.read()


def options() -> dict[str, Any]:
    """How the shipper speaks to Kafka."""
    sys.path.insert(0, "/usr/local/lib/bcm")
    settings, sender = (importlib.import_module(f"bcm_shipper.{name}") for name in ("settings", "sender"))
    found: dict[str, Any] = sender.options(settings.load())
    return found


def kcat(topic: str) -> None:
    program, env = unpacked("bin/kcat")
    told = {name: value for name, value in options().items() if name != "client.id"}
    words = [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in told.items()]
    argv = [program, "-P", "-t", topic, "-K", "\t", "-l", str(PLACE / "records")]
    begun = time.time()
    for word in words:
        argv += ["-X", word]
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    say(begun=begun, ended=time.time())


def acks(topic: str, own: str, seconds: str) -> None:
    """When each of many lines was acknowledged, fifty a second, in a partition that another host's broker leads."""
    from confluent_kafka import Producer

    producer = Producer(options())
    leads = {one.id: one.leader for one in producer.list_topics(topic, timeout=20).topics[topic].partitions.values()}
    partition = next(number for number, leader in sorted(leads.items()) if leader != int(own))
    acknowledged: list[float] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is None:
            acknowledged.append(time.time())

    say(leader=leads[partition])
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        producer.produce(topic, b"{}", partition=partition, on_delivery=delivered)
        producer.poll(0.02)
    producer.flush(30)
    say(acknowledged=acknowledged)


VERBS: dict[str, Callable[..., None]] = {
    "cursor": cursor,
    "write": write,
    "consume": consume,
    "dump": dump,
    "rsyslog": rsyslog,
    "kcat": kcat,
    "acks": acks,
}
VERBS[sys.argv[2]](*sys.argv[3:])
