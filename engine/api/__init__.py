"""The Docker Engine API over the engine's services (README.md has its modules)."""
