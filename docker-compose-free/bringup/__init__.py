"""What `up` does, one step a module. Only the standard library: this runs before anything is installed."""
