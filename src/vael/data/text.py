"""Where `vael.tables.as_text.text` was before; kept for programs that import it from here."""

from vael.tables.as_text.text import *
