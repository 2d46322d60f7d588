"""The same trivial server in Python, for benches/mcp.rs. Needs the package `mcp` on PYTHONPATH."""

try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server
server = Server("peer")
@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text
server.run()
