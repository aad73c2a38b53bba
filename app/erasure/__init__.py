"""Forgotten on request: every place that holds something of a customer, what it found there, and a receipt."""
