"""Real sockets on loopback: servers, gateways and processes as they are used."""
