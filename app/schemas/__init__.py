"""Schemas of requests and answers: the published contract of the API."""
