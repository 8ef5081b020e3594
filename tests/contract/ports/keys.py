"""Keys that one encoding or another gets wrong."""

KEYS = (
    "photos/cat.png",
    "é t/Ünï 🐈.png",
    "one + one.png",
    "100%.png",
    "a%2Fb%20c.png",
    "\"double\" 'single'.png",
    "question?#hash&=.png",
    "/leading//twice.png",
    "a/../b.png",
)
