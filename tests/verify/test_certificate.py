"""The certificate: its schema, its verdict, and that it reproduces."""

import hashlib
import json
import math
import re
from dataclasses import fields

import numpy as np
import pytest

import lagrangenet
from lagrangenet import Problem, chain, derive, generate, verify
from lagrangenet.runtime import Routines
from lagrangenet.verify import Certificate, CheckResult
from lagrangenet.verify import certificate as certificates
from lagrangenet.verify.certificate import SCHEMA, declaration, source_hash
from lagrangenet.verify.check import Check

PROBLEM = chain([2, 3, 1], name="xor")
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
CHEAP = [k for k in Check.registered if not k.__module__.endswith("solution_checks")]
SHA256 = re.compile("[0-9a-f]{64}")


@pytest.fixture(scope="module")
def whole():
    """Every check of the XOR problem."""
    return verify(PROBLEM, X, Y)


def _line(verdict="agree", figure=0.0, **more):
    return CheckResult("p", "a check", figure, 1e-12, verdict, **more)


def _of(*verdicts):
    return Certificate({"p": {}}, 0, {}, {}, tuple(_line(verdict) for verdict in verdicts))


# -- schema ----------------------------------------------------------------------------------------


def test_the_schema_is_versioned_and_its_keys_are_these(whole):
    data = json.loads(whole.to_json())
    assert list(data) == [
        "schema", "verdict", "problem", "seed", "environment", "sources", "checks",
    ]  # fmt: skip
    assert data["schema"] == SCHEMA == "lagrangenet.certificate/1"
    assert data["verdict"] == "agree"
    assert data["seed"] == 0
    declared = data["problem"]["xor"]
    keys = ["summary", "declaration", "parameters", "samples", "data_sha256", "subproblem"]
    assert list(declared) == keys
    assert declared["subproblem"].startswith("The whole problem, 2-3-1 with 4 samples")
    assert Problem.from_toml(declared["declaration"]) == PROBLEM
    assert declared["summary"] == "2 → 3 tanh → 1 identity, squared_error"
    assert (declared["parameters"], declared["samples"]) == (13, 4)
    assert SHA256.fullmatch(declared["data_sha256"])
    keys = ["python", "platform", "machine", "lagrangenet", "numpy", "scipy", "sympy"]
    assert list(data["environment"]) == keys
    assert all(isinstance(value, str) and value for value in data["environment"].values())
    assert data["environment"]["lagrangenet"] == lagrangenet.__version__
    assert data["environment"]["numpy"] == np.__version__
    assert list(data["sources"]) == ["lagrangenet", "xor/generated"]
    assert all(SHA256.fullmatch(value) for value in data["sources"].values())


def test_no_subproblem_is_named_where_none_was_solved():
    (declared,) = verify(PROBLEM, X, Y, only=CHEAP).problem.values()
    assert list(declared) == ["summary", "declaration", "parameters", "samples", "data_sha256"]


def test_each_check_of_the_json_has_the_fields_of_a_result(whole):
    rows = json.loads(whole.to_json())["checks"]
    assert [row["name"] for row in rows] == [kind.name for kind in Check.registered]
    for row, kind in zip(rows, Check.registered, strict=True):
        assert list(row) == [field.name for field in fields(CheckResult)]
        assert row["problem"] == "xor"
        assert row["tolerance"] == kind.tolerance
        assert row["verdict"] == "agree"
        assert row["note"] == kind.reason
        assert 0 <= row["figure"] <= row["tolerance"]


def test_names_of_checks_are_unique_and_say_what_and_why():
    assert len({kind.name for kind in Check.registered}) == len(Check.registered)
    for kind in Check.registered:
        assert len(kind.reason) > 10
        assert 0 <= kind.tolerance <= 0.1


def test_json_round_trip(whole):
    again = Certificate.from_json(whole.to_json())
    assert again == whole
    assert again.to_json() == whole.to_json()


@pytest.mark.parametrize("figure", [math.inf, -math.inf, math.nan])
def test_infinite_figures_are_strings(figure):
    certificate = Certificate({"p": {}}, 0, {}, {}, (_line("disagree", figure),))
    text = certificate.to_json()

    def refuse(constant):
        raise AssertionError(constant)

    (row,) = json.loads(text, parse_constant=refuse)["checks"]
    assert row["figure"] == str(figure)
    (back,) = Certificate.from_json(text).checks
    assert repr(back.figure) == repr(figure)


def test_a_figure_that_was_not_measured_is_null():
    certificate = Certificate({"p": {}}, 0, {}, {}, (_line("inapplicable", None),))
    assert json.loads(certificate.to_json())["checks"][0]["figure"] is None
    assert Certificate.from_json(certificate.to_json()) == certificate


@pytest.mark.parametrize("figure", [5e-324, 1e-16 / 3, 0.1 + 0.2, 1.7976931348623157e308, 3])
def test_figures_keep_every_digit(figure):
    certificate = Certificate({"p": {}}, 0, {}, {}, (_line("agree", figure),))
    assert Certificate.from_json(certificate.to_json()).checks[0].figure == figure


@pytest.mark.parametrize("schema", ["lagrangenet.certificate/2", None, 1])
def test_another_schema_is_refused(schema):
    data = json.loads(_of("agree").to_json()) | {"schema": schema}
    with pytest.raises(ValueError, match=re.escape(f"expected {SCHEMA!r}")):
        Certificate.from_json(json.dumps(data))


def test_a_forged_verdict_is_not_believed():
    data = json.loads(_of("disagree").to_json()) | {"verdict": "agree"}
    assert Certificate.from_json(json.dumps(data)).verdict == "disagree"


# -- verdict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "agrees"),
    [
        ([], False),
        (["agree"], True),
        (["disagree"], False),
        (["inconclusive"], False),
        (["inapplicable"], False),
        (["agree", "inapplicable"], True),
        (["agree", "inconclusive"], False),
        (["agree", "agree", "disagree"], False),
        (["inapplicable", "inconclusive"], False),
    ],
)
def test_the_verdict(verdicts, agrees):
    certificate = _of(*verdicts)
    assert certificate.agrees is agrees
    assert certificate.verdict == ("agree" if agrees else "disagree")
    failed = [v for v in verdicts if v in {"disagree", "inconclusive"}]
    assert [check.verdict for check in certificate.failures] == failed


def test_no_check_made_is_no_agreement():
    certificate = verify(PROBLEM, X, Y, only=[])
    assert certificate.checks == ()
    assert not certificate.agrees


def test_the_text_shows_figures_and_where_a_check_failed():
    lines = (
        _line("agree", 1e-15, where="hidden"),
        _line("disagree", 0.25, where="layer 2, (S5) ∂L/∂W", note="the sign is reversed"),
        _line("inapplicable", None, note="kinks"),
    )
    text = str(Certificate({"p": {}}, 0, {}, {}, lines))
    assert text.splitlines()[0] == "verdict: disagree"
    assert "1.0e-15 ≤ 1e-12" in text
    assert "layer 2, (S5) ∂L/∂W the sign is reversed" in text
    assert "– ≤ 1e-12" in text
    assert "hidden" not in text


# -- several problems ------------------------------------------------------------------------------


def test_joined_certificates_keep_everything():
    other = chain([2, 2, 1], "relu", name="other")
    parts = [verify(p, X, Y, seed=4, only=CHEAP) for p in (PROBLEM, other)]
    joined = Certificate.joined(parts)
    assert list(joined.problem) == ["xor", "other"]
    assert list(joined.sources) == ["lagrangenet", "xor/generated", "other/generated"]
    assert joined.checks == parts[0].checks + parts[1].checks
    assert joined.seed == 4
    assert joined.agrees
    assert Certificate.from_json(joined.to_json()) == joined


@pytest.mark.parametrize("at", [0, 1])
def test_one_disagreement_spoils_the_joined_certificate(at):
    parts = [_of("agree"), _of("agree")]
    parts[at] = _of("agree", "disagree")
    assert Certificate.joined(parts).verdict == "disagree"


def test_a_nameless_problem_gets_a_name():
    certificate = verify(chain([2, 3, 1]), X, Y, only=CHEAP[:1])
    assert list(certificate.problem) == ["problem"]
    assert [check.problem for check in certificate.checks] == ["problem"]


# -- what reproduces it ----------------------------------------------------------------------------


def test_two_runs_with_one_seed_give_equal_certificates(whole):
    assert verify(PROBLEM, X, Y) == whole


def test_another_seed_gives_other_figures_and_the_same_verdict(whole):
    other = verify(PROBLEM, X, Y, seed=1)
    assert other.agrees
    assert other.seed == 1
    assert other.sources == whole.sources
    assert other.problem == whole.problem
    different = [
        a.name for a, b in zip(whole.checks, other.checks, strict=True) if a.figure != b.figure
    ]
    assert len(different) >= 5


def test_the_hash_of_the_generated_source_is_that_of_its_text(whole):
    source = generate(derive(PROBLEM, order=2)).source
    assert whole.sources["xor/generated"] == hashlib.sha256(source.encode()).hexdigest()


def test_another_source_has_another_hash(whole):
    source = generate(derive(PROBLEM)).source
    changed = Routines(PROBLEM, source + "# checked by hand\n")
    certificate = verify(PROBLEM, X, Y, routines=changed, only=CHEAP)
    assert certificate.agrees
    assert certificate.sources["xor/generated"] == source_hash(changed.source)
    assert certificate.sources["xor/generated"] != whole.sources["xor/generated"]
    assert certificate.sources["lagrangenet"] == whole.sources["lagrangenet"]


def test_the_hash_of_the_package_covers_names_and_contents_of_its_files(monkeypatch, tmp_path):
    room = tmp_path / "package" / "verify"
    room.mkdir(parents=True)
    module = room / "certificate.py"
    module.write_text("a = 1\n")
    monkeypatch.setattr(certificates, "__file__", str(module))
    measure = certificates.package_hash.__wrapped__
    seen = [measure()]
    assert measure() == seen[0]
    module.write_text("a = 2\n")
    seen.append(measure())
    (room.parent / "more.py").write_text("")
    seen.append(measure())
    (room.parent / "more.py").rename(room.parent / "other.py")
    seen.append(measure())
    (room.parent / "notes.txt").write_text("not code")
    assert measure() == seen[-1]
    assert len(set(seen)) == len(seen)


def test_the_data_are_hashed():
    base = declaration(PROBLEM, X, Y)["data_sha256"]
    assert declaration(PROBLEM, X.copy(), np.asfortranarray(Y))["data_sha256"] == base
    assert declaration(PROBLEM, np.asfortranarray(X), Y)["data_sha256"] == base
    assert declaration(PROBLEM, X[::-1], Y)["data_sha256"] != base
    assert declaration(PROBLEM, X + 1e-15, Y)["data_sha256"] != base
    assert declaration(PROBLEM, X, 1 - Y)["data_sha256"] != base


def test_the_environment_is_a_copy(whole):
    whole.to_dict()["environment"]["python"] = "0"
    assert certificates.environment()["python"] != "0"
