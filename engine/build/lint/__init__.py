"""Build checks: what in a Dockerfile means something, and hardly what was meant.

The checks have the names and the words of BuildKit's (docs.docker.com/reference/build-checks), so that what is written
about them, and `# check=skip=…`, holds here too. `linter.lint` is the way in.
"""
