"""What files say of their own size, held against the memory of the machine before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vael.errors import FormatError, VaelError

CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
SHARE = 0.5  # of the memory that one file may ask for: a model, and cells as floats, stand beside it
UNKNOWN = 1 << 36  # bytes, where the system does not say


def memory() -> int:
    """Bytes that this process may use: what the machine has, less where a limit is set on the process or its group."""
    found = [UNKNOWN]
    with suppress(AttributeError, ValueError, OSError):
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        found += [soft] if soft != resource.RLIM_INFINITY else []
    for path in CGROUPS:
        with suppress(OSError, ValueError):
            found.append(int(Path(path).read_text()))
    return min(found)


def refuse_claim(size: int, name: object, what: str = "it") -> None:
    """Errors: `FormatError` for a file that says it holds more bytes than can be had."""
    most = int(SHARE * memory())
    if size > most:
        raise FormatError(
            f"{name} says that {what} takes {size:,} bytes of memory, but at most {most:,} can be had for one file "
            "here; it is damaged or made to "
            "harm, or belongs on a larger machine"
        )


@contextmanager
def parsing(name: object, trouble: str, way: str = "write or fetch it again") -> Iterator[None]:
    """Turn whatever a reader of files raises for content that it cannot take into a `FormatError`; what the disk
    refuses stays an `OSError`.
    """
    try:
        yield
    except (VaelError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FormatError(f"{name} {trouble} ({str(error) or type(error).__name__}); {way}") from error
