"""The one way a command says that it could not."""

WRONG_USE = 2
PENDING = 1


class CommandFailed(Exception):
    """A command could not do what was asked: one sentence that says what to do."""

    def __init__(self, sentence: str, code: int = WRONG_USE) -> None:
        """Keep the sentence and the exit code: 1 pending or something found, 2 the rest."""
        super().__init__(sentence)
        self.code = code
