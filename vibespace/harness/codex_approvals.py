"""What Codex asks before it acts: by which tool, what it shows, and which rules it would keep."""

from __future__ import annotations

from typing import Any

from vibespace.harness.reading import Object, text

PERMISSIONS = "Permissions"
"""The tool of an approval that asks for more than one call."""
TOOLS = {
    "item/commandExecution/requestApproval": "Bash",
    "item/fileChange/requestApproval": "Edit",
    "item/permissions/requestApproval": PERMISSIONS,
}
"""The tool that each kind of request is about."""
_SHOWN = ("command", "cwd", "permissions", "grantRoot", "networkApprovalContext", "additionalPermissions")


def shown(params: Object) -> dict[str, Any]:
    """What is to be decided, as the frame says it: of a change to files only the call that waits does."""
    return {key: params[key] for key in _SHOWN if params.get(key) is not None}


def rules(method: str, params: Object) -> tuple[str, ...]:
    """For longer the program allows the very same again, and no more."""
    tool, command = TOOLS[method], text(params, "command")
    if tool == "Bash":
        return (f"Bash({command})",) if command else ()
    return (tool,)
