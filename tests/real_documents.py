"""
Two APIs that everybody knows, as OpenAPI documents: a small one and a large one.

The pet shop is that of the OpenAPI examples, written down by its operations. Stripe's is made of
the installed SDK, which names method and path of each operation where it calls it.
"""

import re
from pathlib import Path
from typing import Any

import stripe

_PETS = """
put    /pet                        updatePet
post   /pet                        addPet
get    /pet/findByStatus           findPetsByStatus
get    /pet/findByTags             findPetsByTags
get    /pet/{petId}                getPetById
post   /pet/{petId}                updatePetWithForm
delete /pet/{petId}                deletePet
post   /pet/{petId}/uploadImage    uploadFile
get    /store/inventory            getInventory
post   /store/order                placeOrder
get    /store/order/{orderId}      getOrderById
delete /store/order/{orderId}      deleteOrder
post   /user                       createUser
post   /user/createWithList        createUsersWithListInput
get    /user/login                 loginUser
get    /user/logout                logoutUser
get    /user/{username}            getUserByName
put    /user/{username}            updateUser
delete /user/{username}            deleteUser
"""
_CALL = re.compile(r'self\._request(?:_stream)?\(\s*"(get|post|delete)",\s*"(/v[12]/[^"]+)"')

Operation = tuple[str, str, str]
"""Method, path and operationId."""


def petstore() -> dict[str, Any]:
    """Describe the pet shop, version 3 of its document."""
    rows = (line.split() for line in _PETS.strip().splitlines())
    return _document("Swagger Petstore - OpenAPI 3.0", "/api/v3", [tuple(row) for row in rows])  # type: ignore[misc]


def stripe_api() -> dict[str, Any]:
    """Describe what the installed SDK can ask of Stripe: some 650 operations."""
    folder = Path(stripe.__file__).parent
    found = {
        (call[1], call[2])
        for file in folder.rglob("*_service.py")
        for call in _CALL.finditer(file.read_text("utf-8"))
    }
    named = [(method, path, f"{method}:{path}") for method, path in sorted(found)]
    return _document("Stripe API", "https://api.stripe.com/", named)


def _document(title: str, server: str, operations: list[Operation]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for method, path, name in operations:
        parameters = [
            {"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
            for one in re.findall(r"\{(\w+)\}", path)
        ]
        paths.setdefault(path, {})[method] = {
            "operationId": name,
            "parameters": parameters,
            "responses": {"200": {"description": "done"}},
        }
    return {
        "openapi": "3.0.4",
        "info": {"title": title, "version": "1.0.27"},
        "servers": [{"url": server}],
        "paths": paths,
    }


def operations_of(document: dict[str, Any]) -> list[Operation]:
    """List the operations of a document, in its order."""
    return [
        (method.upper(), path, operation["operationId"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
