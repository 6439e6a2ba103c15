"""Where `vael.tables.reading` was before; kept for programs that import it from here."""

from vael.tables.reading import *
