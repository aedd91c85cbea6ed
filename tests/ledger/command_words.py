"""A command as it is sent, taken apart again."""

import hiredis


def words_in(command: bytes) -> list[bytes]:
    """Return the words of one whole command."""
    reader = hiredis.Reader()
    reader.feed(command)
    words = reader.gets()
    assert isinstance(words, list)
    return words
