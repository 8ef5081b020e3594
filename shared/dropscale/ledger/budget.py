"""How many credits may be spent in a day and in a month (UTC)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY = "day#"
_MONTH = "month#"


@dataclass(frozen=True)
class Budget:
    """Limits in credits; 0: no limit."""

    daily: int = 0
    monthly: int = 0

    def windows(self, now: datetime) -> Mapping[str, int | None]:
        """Return the windows that a job started now is paid from, each with its limit."""
        return {
            f"{_DAY}{now:%Y-%m-%d}": self.daily or None,
            f"{_MONTH}{now:%Y-%m}": self.monthly or None,
        }

    def limit_of(self, window: str) -> int:
        """Return the limit of one of its windows, in credits."""
        return self.daily if window.startswith(_DAY) else self.monthly

    def parameter_of(self, window: str) -> str:
        """Return the name of the stack parameter that limits a window."""
        return "DailyCreditLimit" if window.startswith(_DAY) else "MonthlyCreditLimit"

    def tightest_limit(self) -> int | None:
        """Return the highest price that fits into the budget; None: no limit."""
        return min((limit for limit in (self.daily, self.monthly) if limit), default=None)


def window_end(window: str) -> datetime:
    """Return when the window after this one begins."""
    kind, _, start = window.partition("#")
    if kind + "#" == _DAY:
        return datetime.fromisoformat(start).replace(tzinfo=UTC) + timedelta(days=1)
    year, month = map(int, start.split("-"))
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
