"""Decides what happens next: the only retry authority, the only reader of outcomes, the only writer of statuses."""
