"""What goes wrong outside of the arithmetic: forks, signals, threads, memory, loading."""
