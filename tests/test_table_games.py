"""What tabular_game explains is what the model says when it is asked directly: all classifiers and regressors of scikit-learn, LightGBM and XGBoost; tables of every type."""
import warnings

import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from scipy.special import logit, log_softmax
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

import interlib as il

warnings.filterwarnings("ignore")
LABELS = {"two": [0, 1], "three": [0, 1, 2], "strings": ["no", "yes"], "one and two": [1, 2], "tens": [10, 20, 30], "bools": [False, True], "signs": [-1, 1]}
DRAW = np.random.default_rng(0)
X = pd.DataFrame(np.abs(DRAW.normal(2, 1, (90, 4))), columns=["a", "b", "c", "d"])
ROW, BACKGROUND = X.iloc[0], X.iloc[1:6]


def labels(kind):
    "Labels that depend on the table, every one often enough for cross-validation."
    names = np.array(LABELS[kind])
    return names[np.argsort(np.argsort(X.a + .3 * X.b * X.c)) * len(names) // len(X)]


def ends(game):
    "v(empty) and v(N)."
    return game(torch.tensor([[False] * game.n, [True] * game.n])).double()


def check(game, ask):
    "v(N) and v(empty) against a function of DataFrames, asked directly."
    got = ends(game)
    assert abs(got[1] - ask(X.iloc[:1])[0]) < 1e-6 * max(1, abs(got[1])), (got[1], ask(X.iloc[:1]))
    assert abs(got[0] - np.mean(ask(BACKGROUND))) < 1e-6 * max(1, abs(got[0]))


def make(Estimator):
    "An estimator of this class with small settings, and those that need another estimator inside."
    inside = LogisticRegression() if "Classif" in Estimator.__name__ or "OneVs" in Estimator.__name__ else Ridge()
    small = dict(n_estimators=5, max_iter=300, random_state=0, n_jobs=1, cv=3, probability=False, min_samples_leaf=2, n_init=1)
    takes = Estimator.__init__.__code__.co_varnames[:Estimator.__init__.__code__.co_argcount + Estimator.__init__.__code__.co_kwonlyargcount]
    given = {k: v for k, v in small.items() if k in takes and k != "min_samples_leaf" and k != "probability"}
    if Estimator.__name__.startswith(("RadiusN",)): given["radius"] = 50.
    if Estimator.__name__ in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "GradientBoostingClassifier"): given["max_iter" if "Hist" in Estimator.__name__ else "n_estimators"] = 5
    if "estimators" in takes: given["estimators"] = [("one", clone(inside)), ("two", DecisionTreeClassifier(max_depth=2) if isinstance(inside, LogisticRegression) else Ridge(9.))]
    if "estimator" in takes and Estimator.__name__ not in ("AdaBoostClassifier", "AdaBoostRegressor", "BaggingClassifier", "BaggingRegressor", "RANSACRegressor"): given["estimator"] = inside
    if Estimator.__name__ == "TransformedTargetRegressor": given.update(regressor=Ridge(), func=np.log1p, inverse_func=np.expm1)
    return Estimator(**given)


def expected(model, output, target):
    "What an output of a fitted classifier is, from its own methods."
    k = [str(c) for c in model.classes_].index(target)
    if output == "prob": return lambda rows: model.predict_proba(rows)[:, k]
    if output == "log_odds" and len(model.classes_) == 2:
        if hasattr(model, "decision_function"): return lambda rows: model.decision_function(rows) * (1 if k else -1)
        return lambda rows: np.subtract(*model.predict_log_proba(rows).T[[k, 1 - k]])
    if output == "log_odds":
        logs = (lambda rows: log_softmax(model.decision_function(rows), 1)) if hasattr(model, "decision_function") else model.predict_log_proba
        return lambda rows: logs(rows)[:, k] - np.logaddexp.reduce(np.delete(logs(rows), k, 1), axis=1)
    assert output == "logit" and not hasattr(model, "predict_proba")
    def values(rows):
        d = model.decision_function(rows)
        return d[:, k] if d.ndim == 2 else d if k else -d
    return values


REFUSED = {"ClassifierChain": "questions|several labels|do not", "MultiOutputClassifier": "questions|several labels", "OutputCodeClassifier": "only names classes", "VotingClassifier": "only names classes"}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("name, Estimator", all_estimators("classifier"))
def test_every_classifier_of_scikit_learn(name, Estimator, kind):
    y = labels(kind)
    if kind not in ("two", "three", "strings") and name not in ("LogisticRegression", "LinearSVC", "SVC", "RandomForestClassifier", "GaussianNB", "SGDClassifier", "GradientBoostingClassifier", "KNeighborsClassifier"):
        pytest.skip("one kind of labels after another with some of the classifiers")
    x = X.round().astype(int) if name == "CategoricalNB" else X
    row, background = x.iloc[0], x.iloc[1:6]
    model = make(Estimator)
    if name in ("ClassifierChain", "MultiOutputClassifier"):
        with pytest.raises(ValueError, match=REFUSED[name]): il.tabular_game(model.fit(X, np.stack([y, y], 1) if kind != "strings" else np.stack([y == "yes"] * 2, 1)), ROW, BACKGROUND)
        return
    if len(set(y)) > 2 and name in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"): pytest.skip("for two classes")
    if name in ("TunedThresholdClassifierCV",) and kind == "strings": model.set_params(scoring="accuracy")
    model.fit(x, y)
    if name in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name]): il.tabular_game(model, row, background)
        return
    game = il.tabular_game(model, row, background)
    has = "prob" if hasattr(model, "predict_proba") else "scores"
    assert game.meta["output"] in (("log_odds", "prob") if has == "prob" else ("logit",))
    got = ends(game)
    ask = expected(model, game.meta["output"], game.meta["target"])
    assert abs(got[1] - ask(x.iloc[:1])[0]) < 1e-6 * max(1, abs(got[1])) and abs(got[0] - np.mean(ask(background))) < 1e-6 * max(1, abs(got[0]))
    best = model.predict_proba(x.iloc[:1])[0].argmax() if has == "prob" else list(model.classes_).index(model.predict(x.iloc[:1])[0])
    assert game.meta["target"] == str(model.classes_[best])
    for c in model.classes_:                                             # every class by its name, with its own sign
        other = il.tabular_game(model, row, background, target=str(c))
        assert abs(ends(other)[1] - expected(model, other.meta["output"], str(c))(x.iloc[:1])[0]) < 1e-6 * max(1, abs(ends(other)[1]))


@pytest.mark.parametrize("name, Estimator", all_estimators("regressor"))
def test_every_regressor_of_scikit_learn(name, Estimator):
    y = (X.a + X.b * X.c).to_numpy()
    several = name.startswith("Multi") or name in ("RegressorChain", "CCA", "PLSCanonical")
    if several: y = np.stack([y, X.d ** 2], 1)
    if name == "IsotonicRegression":
        model = Estimator().fit(X[["a"]], y)
        game = il.tabular_game(model, X[["a"]].iloc[0], X[["a"]].iloc[1:6])
        assert abs(ends(game)[1] - model.predict(X[["a"]].iloc[:1])[0]) < 1e-9
        return
    model = make(Estimator).fit(X, y)
    if several:
        with pytest.raises(ValueError, match="target: got None; .* returns 2 numbers"): il.tabular_game(model, ROW, BACKGROUND)
        for k in range(2): check(il.tabular_game(model, ROW, BACKGROUND, target=k), lambda rows: model.predict(rows)[:, k])
        return
    check(il.tabular_game(model, ROW, BACKGROUND), lambda rows: np.ravel(model.predict(rows)))
    with pytest.raises(ValueError, match="output: got 'log_odds'"): il.tabular_game(model, ROW, BACKGROUND, output="log_odds")
