"""Images: RESIDE, NYU Depth v2, the embedded rooms; haze made on the fly, the same for the same seed."""
