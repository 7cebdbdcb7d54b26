"""Datasets, the labels that losses ask for, and every way in which a CSV file can be wrong."""

import csv
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrangenet.errors import DataError, MissingExtra, ProblemError
from lagrangenet.experiments import DATASETS, Dataset, data, load_dataset, read_csv
from lagrangenet.experiments import table as table_module
from lagrangenet.functions import LOSSES
from lagrangenet.problem import Problem, chain

SHAPES = {
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "diabetes": (442, 10, None),
    "xor": (4, 2, None),
}


@pytest.fixture
def table(tmp_path):
    """Write text to a CSV file and read it with target column ``y``."""

    def read(text, target="y", encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return read_csv(path, target)

    return read


@pytest.fixture
def refused(table):
    """Read like ``table``, expect a refusal, and find the key words in its message."""

    def check(text, *words, **options):
        with pytest.raises(DataError) as caught:
            table(text, **options)
        message = str(caught.value)
        assert "table.csv" in message
        for word in words:
            assert word in message, message

    return check


def needs_sklearn(name):
    if name != "xor":
        pytest.importorskip("sklearn")


def toy(classes=("a", "b", "c"), target=(0, 1, 2, 1), X=None):
    X = np.arange(8.0).reshape(4, 2) if X is None else np.asarray(X, dtype=float)
    return Dataset("toy", X, np.array(target), ("u", "v"), classes, "here")


# -- the catalogue -------------------------------------------------------------------------------


def test_every_catalogue_entry_is_listed_here():
    assert set(DATASETS) == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_catalogue_entries_are_complete(name):
    needs_sklearn(name)
    samples, inputs, classes = SHAPES[name]
    loaded = load_dataset(name)
    assert (loaded.name, loaded.samples, loaded.inputs) == (name, samples, inputs)
    assert loaded.X.shape == (samples, inputs)
    assert loaded.X.dtype == np.float64
    assert np.isfinite(loaded.X).all()
    assert loaded.target.shape == (samples,)
    assert len(loaded.feature_names) == inputs
    assert {type(feature) for feature in loaded.feature_names} == {str}
    assert loaded.source
    if classes is None:
        assert loaded.classes is None
        assert loaded.target.dtype == np.float64
    else:
        assert loaded.target.dtype == np.int64
        assert set(loaded.target) == set(range(classes))
        assert [type(label) for label in loaded.classes] == [str] * classes


@pytest.mark.parametrize("name", SHAPES)
def test_the_default_loss_makes_a_problem(name):
    needs_sklearn(name)
    loaded = load_dataset(name)
    loss = loaded.default_loss
    problem = chain([loaded.inputs, 3, loaded.outputs(loss)], loss=loss)
    assert isinstance(problem, Problem)
    assert loaded.labels(loss).shape == (loaded.samples, problem.widths[-1])


def test_two_loads_share_no_memory():
    first, second = load_dataset("xor"), load_dataset("xor")
    first.X[:] = 7.0
    assert second.X.max() == 1.0


@pytest.mark.parametrize("name", ["mnist", "", ["iris"]])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(DataError, match=r"unknown dataset.*iris.*xor"):
        load_dataset(name)


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"'iris' needs scikit-learn.*lagrangenet\[data\]"):
        load_dataset("iris")
    assert load_dataset("xor").samples == 4


def test_xor_is_the_four_corners():
    xor = load_dataset("xor")
    assert xor.default_loss == "squared_error"
    for (a, b), y in zip(xor.X, xor.labels("squared_error")[:, 0], strict=True):
        assert y == (a != b)


def test_repr_says_what_it_holds():
    assert repr(toy()) == "<Dataset 'toy': 4 samples, 2 inputs, 3 classes>"


# -- labels --------------------------------------------------------------------------------------


def test_every_kind_of_label_has_an_encoder():
    assert {loss.labels for loss in LOSSES.values()} <= set(data._LABELS)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_classes_become_one_hot_rows(loss):
    Y = toy().labels(loss)
    assert Y.dtype == np.float64
    assert Y.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert toy().outputs(loss) == 3


def test_two_classes_become_zeros_and_ones():
    Y = toy(("no", "yes"), (0, 1, 1, 0)).labels("binary_cross_entropy")
    assert Y.dtype == np.float64
    assert Y.tolist() == [[0], [1], [1], [0]]


@pytest.mark.parametrize(
    ("target", "shape"), [((1.5, 2.0, 3.0, 4.0), (4, 1)), (np.ones((4, 3)), (4, 3))]
)
def test_regression_labels_are_the_values_in_a_new_array(target, shape):
    values = toy(None, target)
    Y = values.labels("squared_error")
    assert Y.shape == shape
    assert np.array_equal(Y.reshape(values.target.shape), values.target)
    assert not np.shares_memory(Y, values.target)


def test_labels_take_a_choice():
    assert toy().labels(LOSSES["cross_entropy"]()).shape == (4, 3)


@pytest.mark.parametrize(
    ("dataset", "loss", "words"),
    [
        (toy(), "binary_cross_entropy", "exactly two classes.*3 class.*squared_error, cross_entr"),
        (
            toy(None, (0.5, 1, 2, 3)),
            "cross_entropy",
            "needs classes.*numbers.*fit: squared_error, .*huber",
        ),
        (
            toy(None, (0.0, 1, 0, 1)),
            "binary_cross_entropy",
            "exactly two.*fit: squared_error, .*huber",
        ),
    ],
)
def test_a_loss_that_does_not_fit_names_those_that_do(dataset, loss, words):
    with pytest.raises(DataError, match=words):
        dataset.labels(loss)
    with pytest.raises(DataError, match=words):
        dataset.outputs(loss)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ProblemError, match="unknown loss"):
        toy().labels("hinges")


# -- standardization -----------------------------------------------------------------------------


def test_standardized_columns_and_a_constant_one():
    original = toy(X=[[1, 0.1], [2, 0.1], [3, 0.1], [6, 0.1]])
    scaled = original.standardized()
    assert scaled.X[:, 0].mean() == pytest.approx(0, abs=1e-15)
    assert scaled.X[:, 0].std() == pytest.approx(1)
    assert scaled.X[:, 1].tolist() == [0] * 4
    assert original.X[3, 0] == 6
    assert scaled.target.tolist() == original.target.tolist()
    assert not np.shares_memory(scaled.target, original.target)
    assert "standardized" in scaled.source


def test_a_constant_whose_computed_mean_is_off_by_a_rounding_is_zero():
    X = np.full((3, 1), 0.1)
    assert X.mean() != 0.1
    assert not toy(("a",), (0, 0, 0), X).standardized().X.any()


@pytest.mark.parametrize("target", [(1.0, 2, 3, 9), [(1.0, 5), (2, 5), (3, 5), (9, 5)]])
def test_a_regression_target_is_standardized_too(target):
    scaled = toy(None, target).standardized().labels("squared_error")
    assert np.allclose(scaled.mean(axis=0), 0)
    assert np.allclose(scaled.std(axis=0), [1, 0][: scaled.shape[1]])


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=2, max_size=6))
def test_standardization_survives_every_magnitude(column):
    count = len(column)
    X = np.column_stack([column, np.zeros(count)])
    scaled = toy(("a",), (0,) * count, X).standardized().X[:, 0]
    if min(column) == max(column):
        assert not scaled.any()
    else:
        assert scaled.mean() == pytest.approx(0, abs=1e-12)
        assert scaled.std() == pytest.approx(1, rel=1e-12)
        assert (np.diff(scaled[np.argsort(column, kind="stable")]) >= 0).all()


# -- CSV: what is read -----------------------------------------------------------------------------


def test_iris_with_its_class_names_comes_back(tmp_path):
    needs_sklearn("iris")
    iris = load_dataset("iris")
    path = tmp_path / "flowers.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*iris.feature_names, "species"])
        for row, code in zip(iris.X.tolist(), iris.target, strict=True):
            writer.writerow([*row, iris.classes[code]])
    read = read_csv(path, "species")
    assert (read.name, read.source) == ("flowers", "CSV file flowers.csv")
    assert (read.feature_names, read.classes) == (iris.feature_names, iris.classes)
    assert np.array_equal(read.X, iris.X)
    assert np.array_equal(read.target, iris.target)
    assert read.target.dtype == np.int64
    assert np.array_equal(read.labels("cross_entropy"), iris.labels("cross_entropy"))


def test_path_may_be_text_and_the_target_any_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y,b\n1,p,2\n3,q,4\n")
    read = read_csv(str(path), "y")
    assert read.feature_names == ("a", "b")
    assert read.X.tolist() == [[1, 2], [3, 4]]


def test_byte_order_mark_is_no_part_of_a_name(table):
    read = table("y,höhe\nc,1\nd,2\n", encoding="utf-8-sig")
    assert read.feature_names == ("höhe",)
    assert read.classes == ("c", "d")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(table, delimiter, newline):
    rows = [["a", "b", "y"], ["1", "-2e3", "u"], ["3", ".5", "v"]]
    read = table(newline.join(delimiter.join(row) for row in rows))
    assert read.X.tolist() == [[1, -2000], [3, 0.5]]


def test_the_delimiter_is_the_one_on_which_the_rows_agree(table):
    read = table("length, cm;width, cm;y\n1;2;u\n3;4;v\n")
    assert read.feature_names == ("length, cm", "width, cm")


def test_quoted_cells_blanks_and_blank_lines(table):
    read = table('\n"a, ""wide""", b ,y\n\n"1", 2 ,"p\nq"\n \n3,4, "r;s"\n\n')
    assert read.feature_names == ('a, "wide"', "b")
    assert read.X.tolist() == [[1, 2], [3, 4]]
    assert read.classes == ("p\nq", "r;s")


def test_a_missing_value_is_named_and_the_cleaned_file_is_read(table, refused):
    text = "a,b,y\n1,2,u\n3,NA,v\n5,6,v\n"
    refused(text, "line 3", "column 'b'", "missing value 'NA'", "fill it or remove the row")
    assert table(text.replace("3,NA,v\n", "")).X.tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["yes", "no", "yes"], ("no", "yes")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["1", "-1", "1.0"], ("-1", "1")),
        (["-0", "0.0", "1"], ("0", "1")),
        (["2", "low", "10"], ("10", "2", "low")),
        ([str(value) for value in range(20)], tuple(str(value) for value in range(20))),
    ],
)
def test_text_and_few_whole_numbers_are_classes(table, values, classes):
    read = table("a,y\n" + "".join(f"0,{value}\n" for value in values))
    assert read.classes == classes
    assert read.target.dtype == np.int64
    names = [read.classes[code] for code in read.target]
    assert all(
        name == value or float(name) == float(value)
        for name, value in zip(names, values, strict=True)
    )


@pytest.mark.parametrize(
    "values", [[1, 2, 2.5], list(range(21)), [2.0**53, 2.0**53 + 2], [0.5], [0.5, 0.5]]
)
def test_other_numbers_are_regression(table, values):
    read = table("a,y\n" + "".join(f"0,{value!r}\n" for value in values))
    assert read.classes is None
    assert read.target.dtype == np.float64
    assert read.target.tolist() == values
    assert read.default_loss == "squared_error"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(*[finite] * n), min_size=1)))
def test_a_numeric_table_is_read_back_exactly(rows):
    with TemporaryDirectory() as folder:
        path = Path(folder, "numbers.csv")
        names = [f"c{at}" for at in range(len(rows[0]))]
        lines = [",".join([*map(repr, row), f"{at}.5"]) for at, row in enumerate(rows)]
        path.write_text("\n".join([",".join([*names, "y"]), *lines]), encoding="utf-8")
        read = read_csv(path, "y")
    assert read.X.tobytes() == np.array(rows).tobytes()  # signs of zero included
    assert read.target.tolist() == [at + 0.5 for at in range(len(rows))]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='ay01.,;\t\n\r "_-einfNA?é\x00', max_size=40))
def test_any_text_is_read_or_refused(text):
    with TemporaryDirectory() as folder:
        path = Path(folder, "any.csv")
        path.write_bytes(text.encode())
        try:
            read = read_csv(path, "y")
        except DataError:
            return
    assert np.isfinite(read.X).all()
    assert read.X.shape == (len(read.target), len(read.feature_names))
    assert read.classes is None or len(read.classes) > 1


# -- CSV: what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["", " ", "NA", "na", "NaN", "-nan", "NULL", "?", "None", "n/a"])
@pytest.mark.parametrize("column", ["a", "y"])
def test_missing_values_in_features_and_target(refused, cell, column):
    bad = f"{cell},u" if column == "a" else f"3,{cell}"
    refused(f"a,y\n1,u\n{bad}\n2,v\n", "line 3", f"column '{column}'", "missing", "remove the row")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
@pytest.mark.parametrize("column", ["a", "y"])
def test_infinite_values(refused, cell, column):
    bad = f"{cell},1.5" if column == "a" else f"3,{cell}"
    refused(f"a,y\n1,2.5\n{bad}\n", "line 3", f"column '{column}'", cell, "infinite")


@pytest.mark.parametrize(
    "cell", ["red", "1_000", "1 000", "0x10", "__import__('os')", "١٢", "1.2.3", "1\x00"]
)
def test_text_in_a_feature(refused, cell):
    refused(f"a,y\n1,u\n{cell},v\n", "line 3", "column 'a'", repr(cell), "encode", "as numbers")


def test_decimal_commas(refused):
    refused("a;b;y\n1,5;2;u\n2,5;3;v\n", "line 2", "column 'a'", "'1,5'", "decimal point")


def test_long_values_are_cut_in_the_message(refused):
    refused(f"a,y\n{'x' * 1000},u\n", "x" * 50 + "...")


@pytest.mark.parametrize(("row", "count"), [("3", 1), ("3,4,5,v", 4)])
def test_ragged_rows(refused, row, count):
    refused(f"a,b,y\n1,2,u\n{row}\n", "line 3", f"has {count} cells", "has 3 columns")


def test_a_ragged_first_row(refused):
    refused("a,b,y\n1,u\n", "line 2", "has 2 cells", "has 3 columns")


def test_line_numbers_count_lines_of_the_file(refused):
    refused('a,y\n\n"1","p\nq"\n\nx,v\n', "line 6")


@pytest.mark.parametrize("text", ["", "\n \n\n", "\ufeff"])
def test_empty_file(refused, text):
    refused(text, "is empty")


@pytest.mark.parametrize("text", ["a,y", "a;y\n\n"])
def test_header_only(refused, text):
    refused(text, "no row of data")


def test_target_only(refused):
    refused("y\n1\n2\n", "'y' is the only column", "at least one feature")


def test_no_header(refused):
    refused("1,2,0\n3,4,1\n", "first row is all numbers", "header", "by column name")
    refused("5.1,3.5,setosa\n5.9,3.0,virginica\n", "no column 'y'", "lack its header")


def test_unknown_target_lists_the_columns(refused):
    refused("a,b\n1,u\n", "no column 'z'", "'a', 'b'", target="z")
    refused("A,Y\n1,u\n", "no column 'y'", "'A', 'Y'")
    many = ",".join(f"c{at}" for at in range(50))
    refused(f"{many}\n", "'c19' and 30 more")


def test_unnamed_and_duplicate_columns(refused):
    refused(",a,y\n0,1,u\n1,2,v\n", "column 1 has no name", "numbers the rows")
    refused("a,b,a,y\n1,2,3,u\n", "'a' occurs 2 times", "rename")
    refused("y,a, y\n1,2,3\n", "'y' occurs 2 times")


@pytest.mark.parametrize(("values", "shown"), [("uuu", "'u'"), ("777", "'7'")])
def test_one_class(refused, values, shown):
    refused("a,y\n" + "".join(f"1,{value}\n" for value in values), "one class only", shown)


def test_a_typing_error_in_a_numeric_target(refused):
    refused("a,y\n1,0.5\n2,O.5\n3,0.7\n", "line 3", "column 'y'", "'O.5'", "not a number")


def test_malformed_quotes(refused):
    refused('a,y\n1,u\n"2,v\n3,w\n', "line 3", "not well-formed", "quotes")
    refused('"a,y\n', "line 1", "quotes")


@pytest.mark.parametrize("content", [b"a,y\n1,\xe9\n", "a,y\n1,u\n".encode("utf-16")])
def test_other_encodings(refused, content):
    refused(content, "not UTF-8", "save it as UTF-8")


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_csv(tmp_path / "absent.csv", "y")
    with pytest.raises(DataError, match="not a file"):
        read_csv(tmp_path, "y")


def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    def denied(*args, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "t.csv").write_text("a,y\n")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match=r"t\.csv.*cannot be read: Permission denied"):
        read_csv(tmp_path / "t.csv", "y")


def test_the_size_is_checked_before_anything_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.csv"
    with path.open("wb") as stream:
        stream.truncate(table_module.MAX_BYTES + 1)  # sparse
    monkeypatch.setattr(Path, "open", lambda *args, **options: pytest.fail("was opened"))
    with pytest.raises(
        DataError, match=f"{table_module.MAX_BYTES + 1} bytes, at most {table_module.MAX_BYTES}"
    ):
        read_csv(path, "y")


def test_caps_on_columns_and_lines(refused, monkeypatch):
    monkeypatch.setattr(table_module, "MAX_COLUMNS", 3)
    refused("a,b,c,y\n", "4 columns, at most 3")
    monkeypatch.setattr(table_module, "MAX_LINE", 10)
    refused("a,y\n1.00000000000,u\n", "more than 10 characters")


def test_many_columns_are_read(table):
    names = ",".join(f"c{at}" for at in range(3000))
    read = table(f"{names},y\n{'1,' * 3000}0.5\n")
    assert read.X.shape == (1, 3000)
    assert math.isclose(read.X.sum(), 3000)
