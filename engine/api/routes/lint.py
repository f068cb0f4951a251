"""`POST /havre/v1/build/lint`: the checks of a Dockerfile without a build, for an editor. An addition of Havre's.

    {"Dockerfile": "FROM …", "Dockerignore": "", "BuildArgs": {"VERSION": "1"}, "Platform": "linux/amd64"}

is answered with 200 whatever is found; only the Dockerfile has to be there. Lines and columns are counted from 1, the
end of an edit is behind its last character.

    {"Warnings": [{"Rule", "Message", "Description", "Explanation", "URL", "Line", "EndLine", "At": place, "Fix": fix}],
     "Error": {"Message", "Reason", "At": place}, "Violation": ""}
    place = {"Line", "Column", "Length", "Excerpt"}
    fix   = {"Title", "Edits": [{"Line", "Column", "EndLine", "EndColumn", "Text"}]}, or null

`Error` is null for a Dockerfile that can be built, as far as can be told without building; `Violation` is not empty
where the Dockerfile asks for warnings to be errors and has some.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.api.call import Call, json_answer
from engine.api.router import Routes
from engine.build.dockerfile.errors import DockerfileError, Place
from engine.build.lint.model import Finding, Fix
from engine.errors import InvalidParameter
from engine.registry.platforms import parse_platform

routes = Routes()


@routes.post("/havre/v1/build/lint")
async def build_lint(call: Call) -> web.Response:
    body = await call.body()
    if body.get("Dockerfile") is None:
        raise InvalidParameter("Dockerfile: give the text that is to be checked")
    report = await call.workers.patient(
        call.engine.builds.lint,
        _bytes(body.text("Dockerfile")),
        ignore=_bytes(body.text("Dockerignore")),
        arguments=body.text_map("BuildArgs"),
        platform=parse_platform(body.text("Platform")),
    )
    return json_answer(
        {
            "Warnings": [_warning(finding) for finding in report.findings],
            "Error": None if report.error is None else _error(report.error),
            "Violation": report.violation,
        }
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _warning(finding: Finding) -> dict[str, Any]:
    return {
        "Rule": finding.rule.name,
        "Message": finding.message,
        "Description": finding.rule.description,
        "Explanation": finding.rule.explanation,
        "URL": finding.rule.url,
        "Line": finding.span.start,
        "EndLine": finding.span.end,
        "At": _place(finding.place, finding.excerpt),
        "Fix": None if finding.fix is None else _fix(finding.fix),
    }


def _error(error: DockerfileError) -> dict[str, Any]:
    return {"Message": str(error), "Reason": error.reason, "At": _place(error.place, error.excerpt)}


def _place(place: Place, excerpt: str) -> dict[str, Any]:
    return {"Line": place.line, "Column": place.column, "Length": place.length, "Excerpt": excerpt}


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "Title": fix.title,
        "Edits": [
            {
                "Line": edit.line,
                "Column": edit.column,
                "EndLine": edit.end_line,
                "EndColumn": edit.end_column,
                "Text": edit.text,
            }
            for edit in fix.edits
        ],
    }
