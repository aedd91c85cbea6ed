"""Products: what is sold, without saying for how much."""

from typing import Any

import stripe

from billing.standin.endpoints import endpoint
from billing.standin.failures import invalid
from billing.standin.rendering import listed
from billing.standin.resources.changes import change, metadata, remains
from billing.standin.world import World

Json = dict[str, Any]

PLAIN = (
    "active",
    "description",
    "images",
    "marketing_features",
    "name",
    "package_dimensions",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "tax_details",
    "unit_label",
    "url",
)


def make(world: World, given: Json, *, active: bool = True) -> Json:
    """Make a product and tell of it."""
    if "id" in given and given["id"] in world.objects:
        raise invalid("Product already exists.", "id", "resource_already_exists")
    product = world.put(
        {
            "id": given.get("id") or world.new_id("prod", 14),
            "object": "product",
            "active": active,
            "created": world.now_s(),
            "default_price": None,
            "description": None,
            "images": [],
            "livemode": False,
            "marketing_features": [],
            "metadata": metadata(given.get("metadata")),
            "name": given["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "type": given.get("type", "service"),
            "unit_label": None,
            "updated": world.now_s(),
            "url": None,
        }
    )
    change(product, {name: given[name] for name in PLAIN if name in given})
    world.emit("product.created", product)
    return product


@endpoint("POST", "/v1/products", params="ProductCreateParams", answers=stripe.Product)
def create(world: World, given: Json, path: dict[str, str]) -> Json:
    """Make a product, with its default price if one is given."""
    # Prices belong to products, so that file imports this one.
    from billing.standin.resources import prices  # noqa: PLC0415

    del path
    product = make(world, given)
    if "default_price_data" in given:
        price = prices.make(world, {**given["default_price_data"], "product": product["id"]})
        product["default_price"] = price["id"]
    return product


@endpoint("GET", "/v1/products/{id}", params="ProductRetrieveParams", answers=stripe.Product)
def retrieve(world: World, given: Json, path: dict[str, str]) -> Json:
    """Answer a product."""
    del given
    return world.get("product", path["id"], deleted=True)


@endpoint("POST", "/v1/products/{id}", params="ProductUpdateParams", answers=stripe.Product)
def update(world: World, given: Json, path: dict[str, str]) -> Json:
    """Change what is given."""
    product = world.get("product", path["id"])
    fields = {name: given[name] for name in (*PLAIN, "metadata") if name in given}
    for name in ("images", "marketing_features"):
        if fields.get(name) == "":
            fields[name] = []
    if "default_price" in given:
        price = world.get("price", given["default_price"], "default_price")
        if price["product"] != product["id"]:
            raise invalid("The default price must belong to the product.", "default_price")
        fields["default_price"] = price["id"]
    before = change(product, fields)
    if before:
        before["updated"] = product["updated"]
        product["updated"] = world.now_s()
        world.emit("product.updated", product, before)
    return product


@endpoint("DELETE", "/v1/products/{id}", params="ProductDeleteParams", answers=stripe.Product)
def delete(world: World, given: Json, path: dict[str, str]) -> Json:
    """Delete a product that never had a price."""
    del given
    product = world.get("product", path["id"])
    if any(price["product"] == product["id"] for price in world.every("price")):
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices.", "id"
        )
    world.emit("product.deleted", product)
    return world.put(remains(product))


@endpoint("GET", "/v1/products", params="ProductListParams", answers=stripe.Product)
def every(world: World, given: Json, path: dict[str, str]) -> Json:
    """List products."""
    del path
    found = [
        product
        for product in world.every("product")
        if given.get("active") in (None, product["active"])
        and product["id"] in given.get("ids", [product["id"]])
    ]
    return listed(given, found, "/v1/products")
