"""Everything that vael raises on purpose. A message says what came, what was expected and what to do."""


class VaelError(Exception):
    """Base of every error that vael raises on purpose; the command line turns it into exit status 2."""


class ShapeError(VaelError):
    """Sizes that do not fit together."""


class SupportError(VaelError):
    """Data outside the support of the likelihood, or a likelihood that is no likelihood for such data."""


class StateError(VaelError):
    """Something asked of an object, a run or a request that its present state cannot give."""


class SettingError(StateError, ValueError):
    """A value that a part of a run cannot have, where a program makes the part."""


class FormatError(VaelError):
    """A file, folder or name that is missing, damaged, unsafe or not what it says it is."""
