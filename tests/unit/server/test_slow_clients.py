"""A mirror drops clients that stall: in the middle of a head, of a body, or of an answer."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

from starlette.types import Message, Receive, Scope, Send

from airgap.server.mirror import web_server
from airgap.server.mirror.slow_gate import SlowGate
from airgap.server.mirror.web_server import WebServer

SCOPE: Scope = {"type": "http"}


async def stall(message: Message | None = None) -> Message:
    del message
    await asyncio.sleep(60)
    raise AssertionError


async def send_much(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})


def test_an_answer_that_nobody_takes_ends() -> None:
    sent: list[Message] = []

    async def take_one(message: Message) -> None:
        if sent:
            await stall()
        sent.append(message)

    asyncio.run(SlowGate(send_much, 0.01)(SCOPE, stall, take_one))
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_a_body_that_stops_is_broken_off_and_a_whole_one_is_not() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"1", "more_body": True},
        {"type": "http.request", "body": b"2", "more_body": False},
        {"type": "http.disconnect"},
    ]
    seen: list[str] = []

    async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        seen.extend([(await receive())["type"] for _ in range(3)])

    async def give(late: int) -> None:
        left = iter(enumerate(parts))

        async def receive() -> Message:
            number, message = next(left)
            if number == late:
                await asyncio.sleep(0.2)
            return message

        await SlowGate(read_all, 0.02)(SCOPE, receive, stall)  # type: ignore[arg-type]

    asyncio.run(give(2))  # the end of the connection may take its time
    assert seen == ["http.request", "http.request", "http.disconnect"]
    seen.clear()
    asyncio.run(give(1))
    assert seen[1] == "http.disconnect"


@dataclass(eq=False)
class Connection:
    """What the server knows of one."""

    transport: SimpleNamespace
    cycle: object


def test_a_connection_without_a_request_is_dropped_and_a_download_is_not() -> None:
    now = [0.0]
    server = WebServer(send_much, print, clock=lambda: now[0])
    dropped: list[str] = []

    def connect(name: str, cycle: object) -> Connection:
        connection = Connection(SimpleNamespace(abort=lambda: dropped.append(name)), cycle)
        server.server_state.connections.add(connection)  # type: ignore[arg-type]
        return connection

    connect("silent", None)
    connect("downloading", SimpleNamespace(response_complete=False))
    asking = connect("asking", SimpleNamespace(response_complete=True))
    for seconds in (0.0, web_server._REQUEST_SECONDS, web_server._REQUEST_SECONDS + 1):
        now[0] = seconds
        server._drop_idle()
        asking.cycle = SimpleNamespace(response_complete=True)  # it has asked again meanwhile
    assert dropped == ["silent"]
