"""A pretend company on loopback: the vendors' HTTP APIs, stateful, with faults on request."""
