# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""Tries to get out of where it runs, and says what came of each try.

Nothing but the standard library is used, and nothing is written: it also runs in the network of a container that has no program of
its own. A try has one of four results. C(yes) - something answered, were it only to refuse. C(no) - nothing did. C(own) - the address
is the asker's own, so that nothing was learned. C(untried) - it could not be tried, which proves nothing either.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import errno
import functools
import ipaddress
import json
import os
import select
import signal
import socket
import struct
import time
import typing as t
from pathlib import Path

Cell = t.Mapping[str, t.Any]
# What came of a try, and what was seen.
Result = tuple[str, str]

AT_ONCE = 40
# A proxy that refuses says so at once; on a busy machine that may take a while.
PATIENCE_WITH_PROXIES = 10.0
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
# From linux/in.h, linux/in6.h and linux/errqueue.h.
IP_RECVERR = 11
IPV6_RECVERR = 25
ORIGINS_OF_ICMP = (2, 3)
NO_WAY = {
    errno.ENETUNREACH: "there is no route",
    errno.EHOSTUNREACH: "the host does not answer on the bridge, or a router says that there is no way",
    errno.ETIMEDOUT: "nothing answered",
    errno.EPERM: "its own firewall refuses it",
    errno.EACCES: "its own firewall refuses it",
    errno.EADDRNOTAVAIL: "it has no address of this kind",
    errno.EAFNOSUPPORT: "it has no IPv6",
    errno.ENETDOWN: "the network is down",
    errno.EINVAL: "it has no route of this kind",
    errno.ENODEV: "it has no such interface",
}
SOCKS_WORDS = {1: "a failure", 2: "its rules forbid it", 3: "no way", 4: "no such host", 5: "refused", 6: "too late"}


class Asker:
    """Who asks: the network that this process is in, and where its list of name servers is."""

    def __init__(self, resolv_conf: Path = Path("/etc/resolv.conf"), own: t.Iterable[str] = ()) -> None:
        self.resolvers = name_servers(resolv_conf)
        self.interfaces = [name for _index, name in socket.if_nameindex() if name != "lo"]
        self.own = {*own, *own_addresses()}
        self.routes = routes()

    def told(self) -> dict[str, t.Any]:
        return {"resolvers": self.resolvers, "routes": self.routes, "interfaces": self.interfaces}


def name_servers(path: Path) -> list[str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    if found == ["127.0.0.53"]:
        # systemd-resolved, which asks others; those are of interest, too.
        with contextlib.suppress(OSError):
            text = Path("/run/systemd/resolve/resolv.conf").read_text(errors="replace")
            found += [line.split()[1] for line in text.splitlines() if line.startswith("nameserver")]
    return found


def own_addresses() -> set[str]:
    """The addresses of this network namespace, IPv4 out of its routing table and IPv6 as the kernel lists them."""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        address = ""
        for line in Path("/proc/self/net/fib_trie").read_text().splitlines():
            words = line.split()
            if words[:1] == ["|--"]:
                address = words[1]
            elif words[:3] == ["/32", "host", "LOCAL"]:
                found.add(address)
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/net/if_inet6").read_text().splitlines():
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))))
    return found


def routes() -> list[dict[str, str]]:
    """Routes of this network namespace that lead through a gateway, and those to everywhere."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/net/route").read_text().splitlines()[1:]:
            interface, to, via, _flags, _ref, _use, _metric, mask = line.split()[:8]
            if int(via, 16) or not int(mask, 16):
                bits = bin(int(mask, 16)).count("1")
                found.append({"to": f"{_four(to)}/{bits}", "via": _four(via), "interface": interface})
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/net/ipv6_route").read_text().splitlines():
            to, bits_hex, _src, _srcbits, via, _metric, _ref, _use, flags, interface = line.split()
            # Those that reject everything (0x0200) lead nowhere.
            if interface != "lo" and not int(flags, 16) & 0x0200 and (int(via, 16) or not int(bits_hex, 16)):
                found.append({"to": f"{_six(to)}/{int(bits_hex, 16)}", "via": _six(via), "interface": interface})
    return found


def _four(text: str) -> str:
    return socket.inet_ntoa(struct.pack("=I", int(text, 16)))


def _six(text: str) -> str:
    return str(ipaddress.IPv6Address(bytes.fromhex(text)))


def ask_all(cells: t.Sequence[Cell], asker: Asker) -> list[dict[str, str]]:
    """Try all cells, many at once, and return what came of each, in their order."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda cell: ask(cell, asker), cells))
    return [{"seen": seen, "said": said} for seen, said in answers]


def ask(cell: Cell, asker: Asker) -> Result:
    """Try one cell."""
    host = str(cell.get("host", ""))
    if host in asker.own and cell["kind"] in ("tcp", "udp", "icmp", "dns", "dns_tcp", "socks", "open_proxy"):
        return "own", "it is an address of the asker's own"
    try:
        return KINDS[cell["kind"]](cell, asker)
    except KeyError as missing:
        return "untried", f"there is no such kind of try, or it needs {missing}"
    except OSError as error:
        return _said(error)


def _said(error: OSError) -> Result:
    if error.errno in NO_WAY:
        return "no", NO_WAY[error.errno or 0]
    if isinstance(error, TimeoutError):
        return "no", "nothing answered"
    if isinstance(error, socket.gaierror):
        return "untried", f"not an address: {error.strerror}"
    return "untried", f"it could not be tried: {error.strerror or error}"


def timeout_of(cell: Cell) -> float:
    return float(cell.get("timeout", 3))


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _places(host: str, port: int, asker: Asker) -> list[tuple[t.Any, ...]]:
    """Where to: of an address that stands for a link alone, each link."""
    if ":" not in host:
        return [(host, port)]
    if ipaddress.IPv6Address(host).is_link_local:
        return [(host, port, 0, socket.if_nametoindex(name)) for name in asker.interfaces]
    return [(host, port, 0, 0)]


def _each(cell: Cell, asker: Asker, try_one: t.Callable[[tuple[t.Any, ...]], Result]) -> Result:
    """The first place that answers, or what the last one said."""
    last: Result = ("no", "it has no interface")
    for place in _places(str(cell["host"]), int(cell.get("port", 0)), asker):
        try:
            last = try_one(place)
        except OSError as error:
            last = _said(error)
        if last[0] == "yes":
            return last
    return last


def _errors_wanted(sock: socket.socket, family: int) -> None:
    """Have the kernel tell who said that there is no way."""
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def _who_refused(sock: socket.socket) -> str | None:
    """Whose ICMP message ended it, if it was one."""
    with contextlib.suppress(OSError):
        _data, ancillary, _flags, _address = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        for _level, _kind, payload in ancillary:
            # struct sock_extended_err: errno, origin, type, code, pad, info, data; the offender's address follows.
            if len(payload) >= 16 and payload[4] in ORIGINS_OF_ICMP:
                offender = payload[16:]
                family = struct.unpack("=H", offender[:2])[0] if len(offender) >= 8 else 0
                if family == socket.AF_INET:
                    return socket.inet_ntoa(offender[4:8])
                if family == socket.AF_INET6 and len(offender) >= 24:
                    return str(ipaddress.IPv6Address(offender[8:24]))
                return ""
    return None


def _refused(sock: socket.socket, asker: Asker, host: str) -> Result:
    """Somebody refused: if that was not the asker's own firewall, the asker was heard."""
    offender = _who_refused(sock)
    if offender is None:
        return "yes", "it answers: nothing listens on this port"
    if offender in asker.own or not offender:
        return "no", "its own firewall refuses it"
    if offender == host:
        return "yes", "it answers: nothing listens on this port, or its firewall refuses it"
    return "no", f"{offender} says that there is no way"


def _connected(place: tuple[t.Any, ...], family: int, timeout: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


def tcp(cell: Cell, asker: Asker) -> Result:
    """A TCP connection. Refused by whoever has the address is answered, too."""
    host = str(cell["host"])
    family = _family(host)

    def try_one(place: tuple[t.Any, ...]) -> Result:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            _errors_wanted(sock, family)
            sock.settimeout(timeout_of(cell))
            try:
                sock.connect(place)
            except ConnectionRefusedError:
                return _refused(sock, asker, host)
            except ConnectionResetError:
                return "yes", "it answers, and ends the connection"
            return "yes", "the connection was accepted"

    return _each(cell, asker, try_one)


def _datagram(cell: Cell, asker: Asker, payload: bytes, heard: t.Callable[[bytes], str | None]) -> Result:
    """Send a packet, and wait for one that HEARD makes something of."""
    host = str(cell["host"])
    family = _family(host)

    def try_one(place: tuple[t.Any, ...]) -> Result:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            _errors_wanted(sock, family)
            sock.connect(place)
            deadline = time.monotonic() + timeout_of(cell)
            sock.send(payload)
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    said = heard(sock.recv(4096))
                except ConnectionRefusedError:
                    return _refused(sock, asker, host)
                if said is not None:
                    return "yes", said
            return "no", "nothing answered"

    return _each(cell, asker, try_one)


def udp(cell: Cell, asker: Asker) -> Result:
    """A UDP packet. Its text is the mark by which it is known again outside."""
    return _datagram(
        cell, asker, str(cell.get("mark", "anyone?")).encode(), lambda data: f"{len(data)} bytes came back"
    )


def question(name: str, identity: int = 0x4243) -> bytes:
    """A question for the IPv4 addresses of a name, as DNS has it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack(">6H", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def answer(data: bytes, identity: int = 0x4243) -> tuple[int, int] | None:
    """Code and number of the answers in an answer, None if it is none."""
    if len(data) < 12:
        return None
    number, flags, _questions, answers = struct.unpack(">4H", data[:8])
    return (flags & 15, answers) if number == identity and flags & 0x8000 else None


def _name(cell: Cell) -> str:
    """The name to ask for. One that nobody has asked for before is known again outside."""
    return f"{cell['mark']}.{cell['name']}" if cell.get("mark") else str(cell["name"])


def _answered(data: bytes) -> str | None:
    found = answer(data)
    return None if found is None else f"a name server answers, with code {found[0]}"


def dns(cell: Cell, asker: Asker) -> Result:
    """A question to a name server by UDP. Any answer counts, also one that refuses."""
    return _datagram(cell, asker, question(_name(cell)), _answered)


def dns_tcp(cell: Cell, asker: Asker) -> Result:
    """The same by TCP."""

    def try_one(place: tuple[t.Any, ...]) -> Result:
        try:
            sock = _connected(place, _family(str(cell["host"])), timeout_of(cell))
        except ConnectionRefusedError:
            return tcp(cell, asker)
        with sock:
            found = None
            with contextlib.suppress(OSError):
                asked = question(_name(cell))
                sock.sendall(struct.pack(">H", len(asked)) + asked)
                found = _answered(sock.recv(4096)[2:])
            return "yes", found or "the connection was accepted"

    return _each(cell, asker, try_one)


def _heard(found: list[tuple[int, int]], data: bytes) -> str | None:
    """What a name server sent is kept, if it is an answer."""
    what = answer(data)
    if what is not None:
        found.append(what)
    return None if what is None else "answered"


def resolve(cell: Cell, asker: Asker) -> Result:
    """Whether the asker's own name servers know a name of the world: with an address, and not with an error."""
    if not asker.resolvers:
        return "no", "it has no name server"
    said = []
    for server in asker.resolvers:
        port = int(cell.get("port") or 53)
        asked = {"host": server, "port": port, "name": cell["name"], "timeout": timeout_of(cell)}
        if cell.get("mark"):
            # Nobody waits for an answer to this one: it is looked for outside.
            with contextlib.suppress(OSError), socket.socket(_family(server), socket.SOCK_DGRAM) as sock:
                sock.connect((server, port))
                sock.send(question(_name(cell)))
        found: list[tuple[int, int]] = []
        heard = functools.partial(_heard, found)
        try:
            result = _datagram(asked, asker, question(str(cell["name"])), heard)
        except OSError as error:
            result = _said(error)
        if found and found[0][0] == 0 and found[0][1]:
            return "yes", f"{server} knows the address of {cell['name']}"
        said.append(f"{server}: {f'answers with code {found[0][0]} and no address' if found else result[1]}")
    return "no", "; ".join(said)


def icmp(cell: Cell, asker: Asker) -> Result:
    """An echo request. Needs the right to raw sockets, which root in an instance has."""
    host = str(cell["host"])
    family = _family(host)
    six = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    request, reply = (128, 129) if six else (8, 0)
    identity = (os.getpid() ^ id(cell) >> 4) & 0xFFFF
    body = str(cell.get("mark", "anyone?")).encode()
    head = struct.pack(">2BHHH", request, 0, 0, identity, 1)
    # Of ICMPv6 the kernel makes the checksum itself.
    packet = head + body if six else struct.pack(">2BHHH", 8, 0, checksum(head + body), identity, 1) + body

    def try_one(place: tuple[t.Any, ...]) -> Result:
        try:
            sock = socket.socket(family, socket.SOCK_RAW, protocol)
        except PermissionError:
            return "untried", "it may not send ICMP"
        with sock:
            deadline = time.monotonic() + timeout_of(cell)
            sock.sendto(packet, (place[0], 0, *place[2:]))
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                data, sender = sock.recvfrom(2048)
                data = data if six else data[(data[0] & 15) * 4 :]
                if data[0] == reply and data[4:6] == struct.pack(">H", identity):
                    return "yes", f"{sender[0]} answers"
            return "no", "nothing answered"

    return _each(cell, asker, try_one)


def checksum(data: bytes) -> int:
    """The internet checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _status(sock: socket.socket) -> int | None:
    """The status of an HTTP answer, None if it is none."""
    data = b""
    while b"\r\n" not in data and len(data) < 1000:
        part = sock.recv(200)
        if not part:
            break
        data += part
    words = data.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else None


def _target(cell: Cell) -> str:
    """Whom a proxy is asked for."""
    target = str(cell.get("to") or _name(cell))
    return f"[{target}]" if ":" in target else target


def _through(cell: Cell, request: str, sure: bool) -> Result:
    """Ask a proxy. SURE: it is known to be one, so that its silence means that it tries."""
    host, port = str(cell["host"]), int(cell["port"])
    try:
        sock = _connected((host, port), _family(host), timeout_of(cell))
    except ConnectionRefusedError:
        return "no", "no proxy answers"
    with sock:
        sock.settimeout(max(PATIENCE_WITH_PROXIES, timeout_of(cell)))
        try:
            sock.sendall(request.encode())
            status = _status(sock)
        except TimeoutError:
            return ("yes", "the proxy does not refuse it, and tries") if sure else ("no", "it says nothing")
        except ConnectionResetError:
            status = None
    if status is None:
        return "no", "the proxy ends the connection" if sure else "it is no proxy"
    if 200 <= status < 300 or (sure and 300 <= status < 400):
        return "yes", f"the proxy lets it through: HTTP {status}"
    if status in (502, 503, 504):
        return "yes", f"the proxy does not refuse it, and finds nobody there: HTTP {status}"
    return "no", f"the proxy refuses it: HTTP {status}"


def connect(cell: Cell, asker: Asker) -> Result:
    """A tunnel through an HTTP proxy at C(host), C(port), to C(to) or C(name), and C(to_port)."""
    to = f"{_target(cell)}:{cell['to_port']}"
    return _through(cell, f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n", True)


def get(cell: Cell, asker: Asker) -> Result:
    """A page through an HTTP proxy."""
    to = f"{_target(cell)}:{cell['to_port']}"
    return _through(cell, f"GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n", True)


def open_proxy(cell: Cell, asker: Asker) -> Result:
    """Whether what listens on a port is a SOCKS or HTTP proxy."""
    found = socks(cell, asker)
    if found[0] == "yes":
        return found
    to = f"{_target(cell)}:{cell['to_port']}"
    return _through(cell, f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n", False)


def _greeted(cell: Cell) -> socket.socket | None:
    """The connection, where a SOCKS proxy takes one without a password."""
    host = str(cell["host"])
    sock = _connected((host, int(cell["port"])), _family(host), timeout_of(cell))
    try:
        sock.sendall(b"\x05\x01\x00")
        if _exactly(sock, 2) == b"\x05\x00":
            return sock
    except (OSError, EOFError):
        pass
    sock.close()
    return None


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def socks(cell: Cell, asker: Asker) -> Result:
    """Whether a SOCKS proxy at C(host), C(port) takes the asker."""
    try:
        sock = _greeted(cell)
    except ConnectionRefusedError:
        return "no", "nothing listens there"
    if sock is None:
        return "no", "it takes the connection, and ends it"
    sock.close()
    return "yes", "the SOCKS proxy takes the asker"


def socks_connect(cell: Cell, asker: Asker) -> Result:
    """Whether a SOCKS proxy leads to C(to), C(to_port)."""
    try:
        sock = _greeted(cell)
    except ConnectionRefusedError:
        return "no", "nothing listens there"
    if sock is None:
        return "no", "it takes the connection, and ends it"
    with sock:
        target = str(cell.get("to") or _name(cell)).encode()
        sock.settimeout(max(PATIENCE_WITH_PROXIES, timeout_of(cell)))
        try:
            sock.sendall(b"\x05\x01\x00\x03" + bytes([len(target)]) + target + struct.pack(">H", int(cell["to_port"])))
            code = _exactly(sock, 4)[1]
        except TimeoutError:
            return "yes", "the SOCKS proxy does not refuse it, and tries"
        except (EOFError, ConnectionResetError):
            return "no", "the SOCKS proxy ends the connection"
    return ("yes", "the SOCKS proxy leads there") if code == 0 else ("no", f"refused: {SOCKS_WORDS.get(code, code)}")


KINDS: dict[str, t.Callable[[Cell, Asker], Result]] = {
    "connect": connect,
    "dns": dns,
    "dns_tcp": dns_tcp,
    "get": get,
    "icmp": icmp,
    "open_proxy": open_proxy,
    "resolve": resolve,
    "socks": socks,
    "socks_connect": socks_connect,
    "tcp": tcp,
    "udp": udp,
}


class ElsewhereError(Exception):
    """Nothing came of what was to be done in another network."""


def die_with_parent() -> None:
    """Whoever started this process may be killed: then this one ends, too."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def enter_network_of(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def begin_in_network_of(pid: int, work: t.Callable[[], t.Any]) -> tuple[int, int]:
    """Have a child do WORK in the network of a process. Returns the child, and where its result comes from."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        die_with_parent()
        try:
            enter_network_of(pid)
            said = {"done": work()}
        except Exception as error:  # whatever it is, the parent has to be told
            said = {"failed": f"{type(error).__name__}: {error}"}
        data = json.dumps(said).encode()
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os._exit(0)  # pylint: disable=protected-access # nothing of the parent's is to be run here


def end_in_network(child: int, reader: int, deadline: float) -> t.Any:
    """What a child has found, or why it has found nothing."""
    data = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                raise ElsewhereError("it did not come to an end in time")
            part = os.read(reader, 65536)
            if not part:
                break
            data += part
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    try:
        said = json.loads(data)
    except ValueError as error:
        raise ElsewhereError("it ended without a word") from error
    if "failed" in said:
        raise ElsewhereError(str(said["failed"]))
    return said["done"]
