"""The page of a service for a person with a browser: what can be asked, and how."""

from __future__ import annotations

import json
from html import escape

from vael.service.openapi import title
from vael.service.service import Endpoint, Service

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
pre { padding: .6rem .8rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: 6px; font-size: 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; }
h2 { margin: 1.6rem 0 .3rem; font-size: 1.1rem; }
"""
FEW = 4  # columns in an example


def page(service: Service) -> str:
    """HTML without anything from elsewhere."""
    data, limits = service.run.spec.data, service.limits
    name = escape(title(service))
    asked = "".join(section(service, one) for one in service.questions.values())
    left = "".join(f"<li><code>/{escape(one)}</code>: {escape(why)}</li>" for one, why in service.left_out.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} · vael serve</title><style>{STYLE}</style></head><body>"
        f"<h1>{name}</h1><p>{escape(service.run.spec.recipe)} on {escape(data.name)}. All of this for programs: "
        f'<a href="/openapi.json">openapi.json</a>.</p>{asked}'
        + (f"<h2>Not here</h2><ul>{left}</ul>" if left else "")
        + f"<h2>Limits</h2><p>A request has at most {limits.rows:,} examples and {limits.megabytes:g} MB and is "
        f"answered within {limits.seconds:g} seconds; {limits.requests} are taken at a time.</p></body></html>"
    )


def section(service: Service, question: Endpoint) -> str:
    """What one question is, with a command that asks it."""
    body = {} if not question.takes else {service.form.key: [shortened(service)]}
    body |= {one.name: one.default for one in question.parameters[:1] if one.default is not None}
    command = f"curl -H 'Content-Type: application/json' -d '{json.dumps(body)}' http://ADDRESS/{question.name}"
    return (
        f"<h2><code>POST /{escape(question.name)}</code></h2><p>{escape(question.summary)}</p>"
        f"<pre>{escape(command)}</pre>"
    )


def shortened(service: Service) -> object:
    """An example, as far as it can be shown."""
    columns = service.columns
    if columns is None:
        return (
            "... "
            + " × ".join(map(str, service.run.spec.data.event))
            + " numbers"
            + (", or PNG in base64" if service.form.key == "images" else "")
        )
    found = {one.name: one.levels[0] if one.levels else one.minimum for one in columns.columns[:FEW]}
    return found | ({"...": "..."} if len(columns.columns) > FEW else {})
