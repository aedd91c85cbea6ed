"""OpenAPI documents for tests: a small pet shop in three formats."""

import json
from collections.abc import Mapping
from typing import Any

from config import PriceList, load_price_list
from config.openapi import Api, Imported, price_file_of, read_api, read_document

PETSTORE_YAML = """\
openapi: "3.1.0"
info: { title: Petstore, version: 1.2.3 }
servers:
  - url: https://pets.example.com/{stage}/
    variables: { stage: { default: v1 } }
  - url: https://other.example.com
security: [{ key: [] }]
paths:
  /pets:
    summary: Many pets
    get: &list
      operationId: listPets
      summary: List all pets
      responses: { 200: { description: all } }
    post: { operationId: createPet, deprecated: true }
  /pets/{pet-id}:
    $ref: "#/components/pathItems/pet"
    delete: { operationId: removePet }
  /pets/{id}.json: { get: { summary: "As a file\\nof JSON" } }
  /pets/{id}/events:
    get:
      operationId: watchPet
      responses: { "200": { $ref: "#/components/responses/stream" } }
  /live:
    get: { operationId: live, responses: { 101: { description: upgraded } } }
  /health:
    get: { operationId: health, security: [] }
  /files/{path+}:
    servers: [{ url: "https://files.example.com:8443" }]
    get: { operationId: file }
    trace: { operationId: traceFile }
  x-not-a-path: { get: {} }
components:
  pathItems:
    pet:
      get: { operationId: showPet }
      delete: { operationId: overridden }
  responses:
    stream: { content: { "text/event-stream; charset=utf-8": {} } }
  securitySchemes:
    key: { type: apiKey, in: header, name: X-Pet-Key }
webhooks:
  born: { post: { operationId: bornPet } }
"""

SWAGGER = {
    "swagger": "2.0",
    "info": {"title": "Old pets", "version": "1"},
    "host": "old.example.com",
    "basePath": "/api",
    "schemes": ["http"],
    "securityDefinitions": {"basic": {"type": "basic"}},
    "security": [{"basic": []}],
    "paths": {
        "/pets/{id}": {"get": {"operationId": "pet"}, "put": {}},
        "/stream": {"get": {"produces": ["text/event-stream"]}},
        "/socket": {"get": {"schemes": ["wss"]}},
    },
}


def api_of(document: str | Mapping[str, Any], **options: Any) -> Api:
    text = document if isinstance(document, str) else json.dumps(document)
    return read_api(read_document(text), **options)


def imported(
    document: str | Mapping[str, Any], *, upstream: str | None = None, **options: Any
) -> Imported:
    text = document if isinstance(document, str) else json.dumps(document)
    read = read_document(text)
    api = read_api(read, **options)
    return price_file_of(read, api, upstream=upstream, name="farebox.yaml", source="api.json")


def loaded(made: Imported) -> PriceList:
    return load_price_list(made.text, environ={})


def minimal(paths: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A document with these paths and nothing that does not matter."""
    return {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:9000"}],
        "paths": paths,
        **more,
    }
