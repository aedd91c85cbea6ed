"""
Credit types before the first `serve`, so that credits can be granted while setting up.

A type's scale is for good, so none is guessed: the types are those of the price file that
`serve` will read, registered as `serve` would.
"""

from config import PriceFileError, Settings, load_price_list, read_price_file
from gateway.commands.failed import CommandFailed
from gateway.operations.desk import Desk
from gateway.price_feed import scales_of
from ledger import credit_types


async def register_first_types(desk: Desk) -> None:
    """
    Register the price file's credit types if there are none at all yet.

    Raises:
        CommandFailed: There is no price file, or it is not valid. Nothing was registered.

    """
    async with desk.ledger.database.connection() as connection:
        if await credit_types.every(connection):
            return
    settings = Settings.from_environment()
    if not settings.config.exists():
        raise CommandFailed(
            "there is no credit type yet: run this beside the price file, "
            "name it with FAREBOX_CONFIG, or start farebox serve once"
        )
    try:
        prices = load_price_list(read_price_file(settings.config), environ=settings.environ)
    except PriceFileError as error:
        raise CommandFailed(
            f"there is no credit type yet, and the price file is not valid: "
            f"see `farebox check {settings.config}`"
        ) from error
    async with desk.ledger.database.connection() as connection:
        await credit_types.register(connection, scales_of(prices))
