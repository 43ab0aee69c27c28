"""Errors a user can act on: what was expected, what came, what to do."""


class UserError(ValueError):
    """A mistake that the caller can mend; the command line prints it as one sentence and exits with 2."""


class ShapeError(UserError):
    """A tensor, a condition or a dtype does not fit what the model was built for."""


class DataError(UserError):
    """A file or a data set cannot be used as it is."""


class ConfigError(UserError):
    """A setting, a name or a device is unknown or impossible."""


class SavedFileError(UserError):
    """A saved model or run cannot be read: missing, truncated, altered, or written by another version."""


class ConvergenceError(UserError):
    """An iteration (a root, a fixed point, an inverse) did not reach its tolerance, or has nothing to reach."""
