"""Where `vael.tables.text` was before; kept for programs that import it from here."""

from vael.tables.text import *
