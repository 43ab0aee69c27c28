"""Numbers as people read them."""

import math


def number(value: float | int | str, std_error: float | None = None) -> tuple[str, str]:
    """The value and its standard error as text, both to the error's second significant digit.

    >>> number(2.31415, 0.0123), number(1234567), number(0.00001234)
    (('2.314', '0.012'), ('1,234,567', ''), ('1.234e-05', ''))
    """
    if isinstance(value, str):
        return value, ""
    if std_error is not None and math.isfinite(std_error) and std_error > 0 and math.isfinite(value):
        digits = max(0, 1 - math.floor(math.log10(std_error)))
        if digits <= 8:
            return _minus(f"{value:,.{digits}f}"), f"{std_error:,.{digits}f}"
        return _minus(f"{value:.4g}"), f"{std_error:.2g}"
    if isinstance(value, int):
        return _minus(f"{value:,}"), ""
    return _minus(f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"), ""


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them.

    >>> duration(42), duration(180), duration(5400)
    ('42 s', '3.0 min', '1 h 30 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
