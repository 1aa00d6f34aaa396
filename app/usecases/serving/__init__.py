"""Policies in service: the gateway's keys, its meter, and the queries that it was asked."""
