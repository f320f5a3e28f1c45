"""Shows doctests in docstrings as code; Markdown would take their prompts for quotations."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)>>>.*(?:\n(?! *$).*)*", flags=re.MULTILINE)


class Doctests(griffe.Extension):
    """Fence every doctest before the docstring is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change an object's docstring in place."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(fenced, obj.docstring.value)


def fenced(found: "re.Match[str]") -> str:
    """Return a doctest between fences, indented as it was."""
    return f"{found[1]}```pycon\n{found[0]}\n{found[1]}```"
