"""Lines about one check of a watched folder, and its exit code."""

from airgap.errors import AirgapError
from airgap.server.intake.summary import DONE, Summary

__all__ = ["find_exit_code", "list_counts", "list_refusals"]


def list_refusals(summary: Summary) -> list[str]:
    """Return a line for each bundle that is not well, with a second one that says what to do."""
    lines = []
    for item in summary.items:
        if "kind" in item:
            at = f" on {item['at']}" if item["verdict"] == "refused before" else ""
            name = f"{item['name']}: " if item["name"] else ""
            lines.append(f"{name}{item['verdict']}{at}: {item.get('message', item['kind'])}")
            if item.get("hint"):
                lines.append(f"  {item['hint']}")
    return lines


def list_counts(summary: Summary) -> list[str]:
    """Return one line with the number of bundles for each verdict."""
    counts = [f"{count} {verdict}" for verdict, count in summary.counts.items()]
    return [f"{', '.join(counts) or 'no new bundles'}."]


def find_exit_code(kind: str) -> int:
    """Return the exit code for a verdict's kind; 0 if all is well."""
    if kind == DONE:
        return 0
    codes = {error.kind: error.exit_code for error in AirgapError.__subclasses__()}
    return codes.get(kind, AirgapError.exit_code)
