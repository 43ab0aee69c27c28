"""Parts of models, each useful by itself: bijections, distributions, paths, solvers, networks, data."""
