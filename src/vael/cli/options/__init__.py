"""Options of commands: frozen records whose fields say how they are written, read and checked."""
