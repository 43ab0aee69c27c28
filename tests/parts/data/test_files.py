from pushforward.parts.data.files import as_names, did_you_mean, listed


def test_lists_of_names():
    assert as_names("a, b ,c") == as_names(["a", "b", " c"]) == ("a", "b", "c")
    assert as_names("") == as_names(()) == ()
    assert listed(["a"]) == "'a'"
    assert listed(["a", "b"]) == "'a' and 'b'"
    assert listed([]) == ""
    assert listed(list("abcdef"), 2) == "'a', 'b' and 4 more"


def test_did_you_mean_ignores_case():
    assert did_you_mean("WINE.csv", ["Wine.CSV", "x"]) == "; did you mean 'Wine.CSV'?"
    assert did_you_mean("qqq", ["Wine.CSV"]) == ""
