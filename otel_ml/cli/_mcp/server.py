"""Serves the tools with the official SDK of the Model Context Protocol."""

from __future__ import annotations

from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

from otel_ml import __version__
from otel_ml._values import line
from otel_ml.cli._console.client import ConsoleClient
from otel_ml.cli._mcp.answers import write
from otel_ml.cli._mcp.tools import INSTRUCTIONS, TOOLS
from otel_ml.cli._terminal import CommandError

_TOOLS: Final = {tool.name: tool for tool in TOOLS}
_MESSAGE: Final = 1000
"""Characters of an error."""


def serve(console: ConsoleClient) -> None:
    """Answers on standard output what a client asks on standard input, until that ends."""
    anyio.run(_serve, console)


async def _serve(console: ConsoleClient) -> None:
    server = build(console)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def build(console: ConsoleClient) -> Server[Any]:
    """Returns the server of a console."""

    async def list_tools(
        _context: ServerRequestContext[Any], _parameters: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(name) for name in _TOOLS])

    async def call_tool(
        _context: ServerRequestContext[Any], parameters: types.CallToolRequestParams
    ) -> types.CallToolResult:
        # the answer of a console may take a while, and clients ask several things at once
        return await anyio.to_thread.run_sync(_answer, console, parameters.name, parameters.arguments or {})

    return Server(
        "otel-ml",
        version=__version__,
        title="otel-ml console",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _described(name: str) -> types.Tool:
    tool = _TOOLS[name]
    return types.Tool(
        name=name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema,
        annotations=types.ToolAnnotations(
            title=tool.title, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


def _answer(console: ConsoleClient, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
    if name not in _TOOLS:
        return _result(line(f"unknown tool {name}; expected {', '.join(_TOOLS)}", _MESSAGE), is_error=True)
    try:
        return _result(write(_TOOLS[name].call(console, arguments)))
    except CommandError as error:
        return _result(line(str(error), _MESSAGE), is_error=True)


def _result(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)
