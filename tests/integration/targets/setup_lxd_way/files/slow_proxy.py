# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP port before another one, over a line that takes its time: each byte arrives so much later, in both directions.

slow_proxy.py PORT UPSTREAM_PORT SECONDS PIDFILE
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Late, and no slower for that: what follows is read before what came first is passed on."""
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1000)
    clock = asyncio.get_running_loop().time

    async def deliver() -> None:
        while True:
            due, data = await line.get()
            await asyncio.sleep(due - clock())
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(65536):
            await line.put((clock() + delay, data))
    except OSError:
        # One end is gone: the other one hears of it, as late as of everything.
        data = b""
    await line.put((clock() + delay, b""))
    await delivery


async def main() -> None:
    port, upstream, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The first packet of a connection takes the whole way there and back, too.
        await asyncio.sleep(2 * delay)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(
            pump(reader, other_writer, delay), pump(other_reader, writer, delay), return_exceptions=True
        )

    Path(sys.argv[4]).write_text(str(os.getpid()))
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
