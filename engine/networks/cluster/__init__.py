"""What engines of several hosts agree on: overlay networks, their addresses, and who is where."""
