"""Previews: pictures of what a job covers, as a contact sheet or a page, before anything is redacted."""
