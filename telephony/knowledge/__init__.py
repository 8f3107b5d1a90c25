"""Documents of agents: taken in, read by a process apart, cut into pieces, searched."""
