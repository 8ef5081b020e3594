"""The base of every error that dropscale itself raises about a drop."""


class DropscaleError(Exception):
    """What is wrong, where, and what to do about it.

    The class name is a stable code: manifests carry it and the state machine matches on it.

    Attributes:
        message: what is wrong, and where.
        fix: what a person can do about it.
    """

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(f"{message}.\n{fix}")
        self.message = message
        self.fix = fix
