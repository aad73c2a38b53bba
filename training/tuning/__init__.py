"""What settings a shop's factors and item-item weights need: found on the newest window before the test."""
