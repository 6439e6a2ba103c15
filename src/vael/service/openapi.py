"""The OpenAPI 3.1 document of a service, made from the schema of its run."""

from __future__ import annotations

from typing import Any

import vael
from vael.models import Classifies, has
from vael.service.forms import JSON, RowForm
from vael.service.service import Endpoint, Service, bound_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFUSALS = {
    "404": "There is no such path; the message names what there is.",
    "408": "The request did not arrive in time.",
    "413": "More bytes or examples than one request may have.",
    "415": "The request is not said to be JSON.",
    "422": "What came does not fit the run: the message says what, what was expected and what to do.",
    "429": "As many requests are waiting as are taken at a time; ask again.",
    "503": "Not answered in time.",
}


def document(service: Service) -> JSON:
    """What can be asked, with what, and what comes back."""
    data = service.run.spec.data
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": title(service),
            "version": vael.__version__,
            "description": f"{service.run.spec.recipe} on {data.name}, served by vael {vael.__version__}. "
            + "; ".join(f"No /{name}: {why}" for name, why in service.left_out.items()),
        },
        "paths": {f"/{name}": path(service, one) for name, one in service.questions.items()},
        "components": {
            "schemas": {
                "Example": service.form.schema(),
                "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
            }
        },
    }


def title(service: Service) -> str:
    """What the service is called."""
    folder = service.run.folder
    return service.run.spec.data.name if folder is None else folder.name


def path(service: Service, question: Endpoint) -> JSON:
    """One question."""
    refusals = {
        status: {"description": about, "content": content({"$ref": "#/components/schemas/Error"})}
        for status, about in REFUSALS.items()
    }
    return {
        "post": {
            "operationId": question.name,
            "summary": question.summary,
            "requestBody": {"required": True, "content": content(request(service, question))},
            "responses": {
                "200": {"description": "The answer.", "content": content(response(service, question.name))},
                **refusals,
            },
        }
    }


def content(schema: JSON) -> JSON:
    """JSON by a schema."""
    return {"application/json": {"schema": schema}}


def request(service: Service, question: Endpoint) -> JSON:
    """What is asked with."""
    form, properties = service.form, {}
    if question.takes:
        examples: JSON = {"type": "array", "items": example(), "minItems": 1, "maxItems": service.limits.rows}
        properties[form.key] = examples
    for one in question.parameters:
        more = {} if one.default is None else {"default": one.default}
        properties[one.name] = {**one.schema, "description": one.about, **more}
    required = {"required": [form.key]} if question.takes else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def example() -> JSON:
    """One example."""
    return {"$ref": "#/components/schemas/Example"}


def several(items: JSON) -> JSON:
    """A list."""
    return {"type": "array", "items": items}


def record(**properties: JSON) -> JSON:
    """An object with all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def response(service: Service, name: str) -> JSON:
    """What comes back."""
    number: JSON = {"type": ["number", "null"]}
    rows = several({"type": "object"})
    if name == "score":
        each = {"score": number, bound_of(service.run): number, "p_value": number, "flag": {"type": "boolean"}}
        return record(threshold={"type": "number"}, scores=several(record(**each)))
    if name == "encode":
        return record(codes=several(several(number)))
    if name == "impute":
        found = record(rows=rows, deviation=several({"type": "object", "additionalProperties": number}))
        found["properties"]["draws"] = several(rows)
        return found
    if name == "predict":
        known = has(service.run.model, Classifies)
        told = {"classes": several({"type": "string"}), "probabilities": several({"type": "object"})}
        return record(**told) if known else record(rows=rows)
    return record(**drawn(service))


def drawn(service: Service) -> dict[str, Any]:
    """What `/sample` gives."""
    data = service.run.spec.data
    if not isinstance(service.form, RowForm):
        return {service.form.key: several({"type": "array"})}
    return {"examples": several({"type": "array"})} if data.windowing else {"rows": several({"type": "object"})}
