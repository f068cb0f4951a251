"""Containers: what one is asked to be, how its process comes to run and to end, and what is done with it meanwhile."""
