"""Writes what becomes of names today: `python -m tests.names`. Look at the difference."""

from tests.names.outcomes import TABLE, table

if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
