"""Tests: `unit` in seconds, `integration` on real servers, `e2e` on the processes of `make up`."""
