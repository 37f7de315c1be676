"""What a caller's function raises while the code below has called it."""

__all__ = ["CallbackFailure"]


class CallbackFailure(BaseException):
    """A caller's function raised. No ``except Exception`` below may take it for its own error.

    The edge raises the error that it holds.
    """

    def __init__(self, error: BaseException) -> None:
        """Take what the function raised."""
        super().__init__(error)
        self.error = error
