"""Figures are drawn without a screen and closed after each test."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def texts():
    """Returns all texts that a figure or axes show."""
    return lambda drawn: [text.get_text() for text in drawn.findobj(plt.Text) if text.get_text()]
