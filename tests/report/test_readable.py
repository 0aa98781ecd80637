"""Tables for people."""

import pandas as pd

from dehazelib.report.readable import readable


def test_headings_values_with_limits_signs_and_empty_cells():
    table = pd.DataFrame({"model": ["a", "b"], "parameters": pd.array([96261, None], "Int64"), "psnr": [20.0, None],
                          "low": [19.5, None], "high": [20.5, None], "difference": [0.1234, None],
                          "difference_low": [-1, None], "difference_high": [1, None]})
    shown = readable(table, {"network": "model", "parameters": "parameters", "PSNR (dB)": ["psnr", "low", "high"],
                             "gain (dB)": ["difference", "difference_low", "difference_high"]}, "below").data
    assert list(shown) == ["network", "parameters", "PSNR (dB)", "gain (dB)"]
    assert list(shown.iloc[0]) == ["a", "96,261", "20.00 [19.50, 20.50]", "+0.123 [-1.000, +1.000]"]
    assert list(shown.iloc[1]) == ["b", "", "", ""]
