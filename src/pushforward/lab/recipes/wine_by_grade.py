"""A conditional flow on a real table: eleven measurements of red wines, given the grade that tasters gave (needs PUSHFORWARD_DATA).

Durkan et al. 2019, https://arxiv.org/abs/1906.04032. Sample with `pushforward sample RUN --given quality=7`.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="wine_by_grade",
    summary="conditional neural spline flow, 11 measurements of a wine given its grade",
    data="wine_red",
    model="neural_spline",
    minutes=1.0,
    paper="https://arxiv.org/abs/1906.04032",
    data_options={"given": ("quality",)},
    expected=(Expected("gain over a Gaussian", 3.6, 1.5), Expected("told from real (%)", 54.0, 8.0)),
)
