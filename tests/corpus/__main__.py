"""Writes the corpus's current outcomes as the expected ones: `python -m tests.corpus`.

Look at the difference (`git diff tests/corpus`) before you commit it.
"""

from tests.corpus.outcomes import corpus_files, faults, outcome


def main() -> None:
    """Write all expectations."""
    for file in corpus_files():
        file.expectation.write_text(faults(file) or outcome(file), encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
