"""What tabular_game explains is what the model says when it is asked directly: all classifiers and regressors of scikit-learn, LightGBM and XGBoost; tables of every type."""
import inspect
import warnings
from types import SimpleNamespace

import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import AdaBoostClassifier, ExtraTreesClassifier, HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier, StackingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC, OneClassSVM
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
    name, takes = Estimator.__name__, inspect.signature(Estimator).parameters
    inside = LogisticRegression() if "Classif" in name or "OneVs" in name else Ridge()
    given = dict(n_estimators=5, max_iter=300, random_state=0, n_jobs=1, cv=3, estimators=[("one", inside), ("two", clone(inside))])
    if name.startswith("HistGradient"): given["max_iter"] = 5
    if name.startswith("Orthogonal"): given["max_iter"] = 3
    if name.startswith("RadiusN"): given["radius"] = 50.
    if not name.startswith(("AdaBoost", "Bagging", "RANSAC")): given["estimator"] = inside
    if name == "TransformedTargetRegressor": given.update(regressor=Ridge(), func=np.log1p, inverse_func=np.expm1)
    return Estimator(**{k: v for k, v in given.items() if k in takes})


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


FEW = ("LogisticRegression", "LinearSVC", "SVC", "RandomForestClassifier", "GaussianNB", "SGDClassifier", "GradientBoostingClassifier", "KNeighborsClassifier")
CLASSIFIERS = [(name, Estimator, kind) for name, Estimator in all_estimators("classifier") for kind in LABELS if name in FEW or kind in ("two", "three", "strings")]
BINARY = ("FixedThresholdClassifier", "TunedThresholdClassifierCV")


@pytest.mark.parametrize("name, Estimator, kind", [c for c in CLASSIFIERS if not (c[0] in BINARY and c[2] == "three")], ids=lambda a: a if isinstance(a, str) else "")
def test_every_classifier_of_scikit_learn(name, Estimator, kind):
    y = labels(kind)
    x = X.round().astype(int) if name == "CategoricalNB" else X
    row, background = x.iloc[0], x.iloc[1:6]
    model = make(Estimator)
    if name in ("ClassifierChain", "MultiOutputClassifier"): y = np.stack([y == y[0], y == y[-1]], 1)
    if name == "TunedThresholdClassifierCV": model.set_params(scoring="accuracy")
    if name == "SelfTrainingClassifier" and kind == "strings": y = y.astype(object)
    model.fit(x, y)
    if name in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name]): il.tabular_game(model, row, background)
        return
    game = il.tabular_game(model, row, background)
    sure = hasattr(model, "predict_proba")
    assert game.meta["output"] in (("log_odds", "prob") if sure else ("logit",))
    got, ask = ends(game), expected(model, game.meta["output"], game.meta["target"])
    assert abs(got[1] - ask(x.iloc[:1])[0]) < 1e-6 * max(1, abs(got[1])) and abs(got[0] - np.mean(ask(background))) < 1e-6 * max(1, abs(got[0]))
    best = model.predict_proba(x.iloc[:1])[0].argmax() if sure else list(model.classes_).index(model.predict(x.iloc[:1])[0])
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


TRADE = pd.DataFrame({"mean age": DRAW.integers(18, 80, 300), "income": np.where(DRAW.random(300) < .2, np.nan, DRAW.normal(3, 1, 300)),
                      "colour": pd.Categorical(DRAW.choice(["red", "green", "blue"], 300), ["red", "green", "blue"]), "id": DRAW.integers(0, 5, 300)})
BUYS = ((TRADE["mean age"] > 40) ^ (TRADE.colour == "red")).astype(int).to_numpy()
THREE = BUYS + (TRADE.id == 3).to_numpy()
OTHERS = TRADE.iloc[1:8]


def by_hand(ask, row, background):
    "The value table of a function of DataFrames, one coalition at a time."
    table = []
    for c in range(2**row.shape[1]):
        rows = background.copy()
        for k, name in enumerate(row.columns):
            if c >> k & 1: rows[name] = pd.Series(row[name].to_numpy().repeat(len(rows)), index=rows.index).astype(row.dtypes.iloc[k])
        table.append(np.mean(ask(rows)))
    return torch.tensor(np.array(table, float))


def same(game, ask, row=TRADE.iloc[:1], background=OTHERS): torch.testing.assert_close(il.evaluate(game, progress=False), by_hand(ask, row, background), atol=1e-6, rtol=1e-6)


PARAMS = dict(verbose=-1, num_threads=1, min_data_in_leaf=5)


@pytest.fixture(scope="module")
def boosters():
    light = lambda objective, y, **more: lightgbm.train(PARAMS | dict(objective=objective) | more, lightgbm.Dataset(TRADE, y), 15)
    extreme = lambda objective, y, **more: xgboost.train(dict(objective=objective, nthread=1) | more, xgboost.DMatrix(TRADE, y, enable_categorical=True), 15)
    return SimpleNamespace(light={"two": light("binary", BUYS), "three": light("multiclass", THREE, num_class=3), "number": light("regression", THREE), "rates": light("poisson", THREE)},
                           extreme={"two": extreme("binary:logistic", BUYS), "three": extreme("multi:softprob", THREE, num_class=3), "names": extreme("multi:softmax", THREE, num_class=3),
                                    "number": extreme("reg:squarederror", THREE), "rates": extreme("count:poisson", THREE), "hinge": extreme("binary:hinge", BUYS)})


@pytest.mark.parametrize("row", [TRADE.iloc[0], TRADE.iloc[:1], TRADE.iloc[0][::-1], TRADE.iloc[0].to_list()], ids=["series", "frame", "another order", "list"])
@pytest.mark.parametrize("library", ["light", "extreme"])
def test_boosters_of_categories(boosters, library, row):
    matrix = (lambda rows: rows) if library == "light" else lambda rows: xgboost.DMatrix(rows, enable_categorical=True)
    margin = dict(raw_score=True) if library == "light" else dict(output_margin=True)
    players, background = list(TRADE), OTHERS[["id", "colour", "income", "mean age"]] if not isinstance(row, list) else OTHERS
    for kind in ("two", "number", "rates"):
        booster = getattr(boosters, library)[kind]
        game = il.tabular_game(booster, row, background, players=players)
        v = il.evaluate(game, progress=False)
        order = [list(TRADE).index(p) for p in game.players]
        want = by_hand(lambda rows: booster.predict(matrix(rows)), TRADE.iloc[:1], OTHERS).reshape([2] * 4).permute([3 - order[3 - k] for k in range(4)]).flatten()
        torch.testing.assert_close(v, want, atol=1e-6, rtol=1e-6)
        assert game.meta["output"] == ("prob" if kind == "two" else "logit")
    for kind in ("two", "three"):
        booster = getattr(boosters, library)[kind]
        game = il.tabular_game(booster, row, background, target=1, output="log_odds")
        def odds(rows):
            z = booster.predict(matrix(rows), **margin)
            return z if z.ndim == 1 else z[:, 1] - np.logaddexp(z[:, 0], z[:, 2])
        torch.testing.assert_close(ends(game), torch.tensor([np.mean(odds(OTHERS)), odds(TRADE[:1])[0]]).double(), atol=1e-5, rtol=1e-5)


def test_boosters_that_name_classes(boosters):
    names, own = boosters.extreme["names"], boosters.extreme["three"]
    game = il.tabular_game(names, TRADE.iloc[0], OTHERS, target=2)       # its predict returns the number of the best class
    p = own.predict(xgboost.DMatrix(TRADE[:1], enable_categorical=True))[0, 2]
    assert game.meta["output"] == "prob" and abs(ends(game)[1] - p) < 1e-5
    with pytest.raises(ValueError, match="Booster only names classes"): il.tabular_game(boosters.extreme["hinge"], TRADE.iloc[0], OTHERS)


def test_categories_are_not_read_as_codes(boosters):
    light = boosters.light["two"]
    for make in (lambda: il.tabular_game(light, [30, 2., 1, 3], [40, 3., 0, 1], columns=list(TRADE)), lambda: il.tabular_game(light, TRADE.iloc[0], TRADE.iloc[1])):
        with pytest.raises(ValueError, match="trained with 1 such columns"): make()
    with pytest.raises(ValueError, match="with the categories red, green, blue; the row's is"): il.tabular_game(light, TRADE.iloc[0].replace("red", "violet").replace("green", "violet").replace("blue", "violet"), OTHERS)
    other = TRADE[:1].assign(colour=TRADE.colour[:1].cat.remove_unused_categories())
    with pytest.raises(ValueError, match="both must be of one type"): il.tabular_game(light, other, OTHERS)


@pytest.mark.parametrize("Classifier", [lightgbm.LGBMClassifier, xgboost.XGBClassifier, xgboost.XGBRFClassifier])
@pytest.mark.parametrize("y, target", [(BUYS, 1), (THREE, 1), (THREE, 0)])
def test_boosting_classifiers_by_their_margin(Classifier, y, target):
    light = Classifier is lightgbm.LGBMClassifier
    model = Classifier(n_estimators=15, n_jobs=1, **(dict(verbose=-1) if light else dict(enable_categorical=True))).fit(TRADE, y)
    margin = (lambda rows: model.predict_proba(rows, raw_score=True)) if light else lambda rows: model.predict(rows, output_margin=True)
    def odds(rows):
        z = margin(rows).astype(float)
        return z if z.ndim == 1 else z[:, target] - np.logaddexp.reduce(np.delete(z, target, 1), axis=1)
    for predict in (model, model.predict_proba):
        game = il.tabular_game(predict, TRADE.iloc[0], OTHERS, target=target)
        assert game.meta["output"] == "log_odds"
        same(game, odds)
    labelled = Classifier(n_estimators=5, n_jobs=1, **(dict(verbose=-1) if light else dict(enable_categorical=True))).fit(TRADE, THREE)
    same(il.tabular_game(labelled, TRADE.iloc[0], OTHERS, target="2", output="prob"), lambda rows: labelled.predict_proba(rows)[:, 2])


def test_sure_boosters_keep_their_digits():
    x = pd.DataFrame({"a": np.r_[np.zeros(50), np.ones(50)], "b": np.arange(100.) % 7})
    model = xgboost.XGBClassifier(n_estimators=400, learning_rate=1., reg_lambda=0, min_child_weight=0, base_score=.5, n_jobs=1).fit(x, x.a > 0)
    margin = model.predict(x[-1:], output_margin=True)[0]
    assert margin > 15                                                   # where the float32 1 - p has one digit left
    for wrapped in (model, make_pipeline(StandardScaler().set_output(transform="pandas"), clone(model)).fit(x, x.a > 0)):
        game = il.tabular_game(wrapped, x.iloc[-1], x.iloc[0])
        assert abs(ends(game)[1] - margin) < 1e-4


def test_sure_networks_of_scikit_learn():
    from sklearn.neural_network import MLPClassifier
    x = np.linspace(-1, 1, 60)[:, None]
    for y in (x[:, 0] > 0, np.digitize(x[:, 0], [-.3, .3])):
        model = MLPClassifier((4,), random_state=0, max_iter=500).fit(x, y)
        game = il.tabular_game(model, [4000.], [0.], target=str(model.classes_[-1]))
        hidden = np.maximum(np.array([[4000.]]) @ model.coefs_[0] + model.intercepts_[0], 0)
        z = (hidden @ model.coefs_[1] + model.intercepts_[1])[0]
        want = z[0] if len(z) == 1 else z[-1] - np.logaddexp.reduce(z[:-1])
        assert abs(want) > 50 and abs(ends(game)[1] - want) < 1e-9 * abs(want)      # log p - log(1 - p) is infinite


@pytest.mark.parametrize("model", [DecisionTreeClassifier(), KNeighborsClassifier(1), RandomForestClassifier(5, random_state=0), make_pipeline(StandardScaler(), ExtraTreesClassifier(5)), GaussianNB()],
                         ids=lambda m: type(m).__name__)
def test_models_that_are_sure(model):
    model.fit(X, labels("strings"))
    row = X.iloc[X.a.argmax()]
    game = il.tabular_game(model, row, BACKGROUND)
    v = il.evaluate(game, progress=False)
    assert v.isfinite().all() and game.meta["output"] == ("log_odds" if isinstance(model, GaussianNB) else "prob")
    if isinstance(model, GaussianNB): return
    assert abs(v[-1] - model.predict_proba(row.to_frame().T).max()) < 1e-9
    with pytest.raises(ValueError, match="output: got 'log_odds', but .* says a probability of 0 or 1.*ask for 'prob'"): il.tabular_game(model, row, BACKGROUND, output="log_odds")


def test_decision_values_speak_for_their_class():
    y = labels("strings")
    for model in (LinearSVC(), SVC(), make_pipeline(StandardScaler(), LinearSVC()), GridSearchCV(SVC(), {"C": [1., 2.]}, cv=2)):
        model.fit(X, y)
        d = model.decision_function(X[:1])[0]
        for predict in (model, model.decision_function):
            assert {c: ends(il.tabular_game(predict, ROW, BACKGROUND, target=c))[1].item() for c in ("no", "yes")} == {"no": pytest.approx(-d), "yes": pytest.approx(d)}
            game = il.tabular_game(predict, ROW, BACKGROUND)
            assert game.meta["target"] == model.predict(X[:1])[0] and ends(game)[1] == pytest.approx(abs(d))
        for output, message in (("log_odds", "no probabilities"), ("prob", "no probabilities")):
            with pytest.raises(ValueError, match=message): il.tabular_game(model, ROW, BACKGROUND, output=output)
        with pytest.raises(ValueError, match="decision values"): il.tabular_game(model, ROW, BACKGROUND, output="margin", target="yes", rival="no")
        with pytest.raises(ValueError, match="only names classes"): il.tabular_game(model.predict, ROW, BACKGROUND)


def test_pairs_of_classes_are_refused():
    y = labels("three")
    for model in (SVC(decision_function_shape="ovo"), make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo")), GridSearchCV(NuSVC(nu=.1, decision_function_shape="ovo"), {"gamma": [.1, .2]}, cv=2)):
        model.fit(X, y)
        for predict in (model, model.decision_function):
            with pytest.raises(ValueError, match="one for each pair"): il.tabular_game(predict, ROW, BACKGROUND)
    check(il.tabular_game(model := SVC().fit(X, y), ROW, BACKGROUND, target=1), lambda rows: model.decision_function(rows)[:, 1])
    own = SimpleNamespace(classes_=[0, 1, 2], predict=SVC().fit(X, y).predict, decision_function=lambda rows: -SVC().fit(X, y).decision_function(rows))
    with pytest.raises(ValueError, match="target: got None; .* predicts '.', but the decision value of '.' is the largest"): il.tabular_game(own, ROW, BACKGROUND)


def test_probabilities_that_are_no_margin():
    "Calibrated and over-confident classifiers have a decision function that is not the logit of their probabilities."
    for model in (CalibratedClassifierCV(LinearSVC(), cv=3), SGDClassifier(loss="modified_huber", random_state=0), OneVsRestClassifier(LogisticRegression()), AdaBoostClassifier(n_estimators=5, random_state=0)):
        y = labels("three")
        model.fit(X, y)
        game = il.tabular_game(model, ROW, BACKGROUND, target=1)
        assert game.meta["output"] == "prob"
        check(game, lambda rows: model.predict_proba(rows)[:, 1])
        with pytest.raises(ValueError, match="probabilities and no logits"): il.tabular_game(model, ROW, BACKGROUND, output="logit")
        if not isinstance(model, SGDClassifier) and hasattr(model, "predict_log_proba"): check(il.tabular_game(model.predict_log_proba, ROW, BACKGROUND, target=1), lambda rows: np.log(model.predict_proba(rows)[:, 1]))
    clipped = SGDClassifier(loss="modified_huber", random_state=0).fit(1000 * X, labels("two"))      # so sure everywhere that the sigmoid agrees
    game = il.tabular_game(clipped, 1000 * ROW, 1000 * BACKGROUND, target=1)
    assert game.meta["output"] == "prob" and ends(game)[1] == clipped.predict_proba(1000 * X[:1])[0, 1]
    ovr = OneVsRestClassifier(LogisticRegression()).fit(X, labels("three"))      # log-odds where nothing is sure
    check(il.tabular_game(ovr, ROW, BACKGROUND, target=1, output="log_odds"), lambda rows: np.log(ovr.predict_proba(rows)[:, 1] / (1 - ovr.predict_proba(rows)[:, 1])))


def test_outliers_and_clusters():
    for model in (IsolationForest(n_estimators=9, random_state=0), OneClassSVM(), make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True))):
        model.fit(X)
        for predict in (model, model.decision_function): check(il.tabular_game(predict, ROW, BACKGROUND), model.decision_function)
        check(il.tabular_game(model.score_samples, ROW, BACKGROUND), model.score_samples)
    check(il.tabular_game(KernelDensity().fit(X), ROW, BACKGROUND), KernelDensity().fit(X).score_samples)
    with pytest.raises(ValueError, match="KMeans only names classes"): il.tabular_game(KMeans(3, n_init=1).fit(X), ROW, BACKGROUND)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    check(il.tabular_game(mixture, ROW, BACKGROUND, target=0, output="prob"), lambda rows: mixture.predict_proba(rows)[:, 0])


@pytest.mark.parametrize("model", [MLPClassifier((3,), max_iter=50), KNeighborsClassifier(3), RandomForestClassifier(3), RidgeClassifier(), OneVsRestClassifier(LogisticRegression()), DecisionTreeClassifier()], ids=lambda m: type(m).__name__)
def test_several_labels_at_once_are_refused(model):
    y = labels("three")
    model.fit(X, np.stack([y > 0, y > 1, y == 1], 1).astype(int))
    with pytest.raises(ValueError, match="several labels|questions at once|several|do not"): il.tabular_game(model, ROW, BACKGROUND)
    if hasattr(model, "predict_proba") and not isinstance(model.predict_proba(X[:1]), list):
        check(il.tabular_game(lambda rows: model.predict_proba(rows)[:, 1], ROW, BACKGROUND), lambda rows: model.predict_proba(rows)[:, 1])


@pytest.mark.parametrize("kind, target, want", [("one and two", 2, 1), ("one and two", "1", 0), ("one and two", 1, "the name of class number 0 and the number of class '2'"), ("tens", 20, 1), ("tens", 1, 1), ("tens", 40, "classes 0 to 2"),
                                                ("bools", True, 1), ("bools", np.False_, 0), ("bools", "True", 1), ("bools", 1, 1), ("signs", -1, 0), ("signs", 1, 1), ("signs", 0, 0), ("two", 1.0, 1), ("two", torch.tensor(1), 1), ("two", np.int64(1), 1),
                                                ("two", np.array(0), 0), ("two", True, "got a bool"), ("strings", "yes", 1), ("strings", np.str_("no"), 0), ("strings", "maybe", "the classes are 'no', 'yes'"), ("strings", 1, 1), ("strings", .5, "got a float")])
def test_the_name_or_the_number_of_a_class(kind, target, want):
    y = labels(kind)
    model = LogisticRegression().fit(X, y)
    if isinstance(want, str):
        with pytest.raises((ValueError, TypeError), match=f"target: got .*{want}|target: {want}"): il.tabular_game(model, ROW, BACKGROUND, target=target)
        return
    game = il.tabular_game(model, ROW, BACKGROUND, target=target)
    assert game.meta["classes"] == want and game.meta["target"] == str(model.classes_[want])
    check(game, expected(model, "log_odds", str(model.classes_[want])))
    pair = il.tabular_game(model, ROW, BACKGROUND, target=[target, str(model.classes_[1 - want if want < 2 else 0])])
    assert pair.meta["classes"][0] == want and pair(torch.ones(1, 4).bool()).shape == (1, 2)
    rival = il.tabular_game(model, ROW, BACKGROUND, target=str(model.classes_[1 - want if want < 2 else 0]), rival=target, output="margin")
    assert rival.meta["rival"] == str(model.classes_[want])


def test_probabilities_are_not_taken_for_logits():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(1))
    forest = RandomForestClassifier(3, random_state=0).fit(X.to_numpy(), labels("three"))
    says = lambda rows: forest.predict_proba(np.asarray(rows))
    for predict in (net, says):
        with pytest.raises(ValueError, match="probabilities that sum to 1"): il.tabular_game(predict, ROW, BACKGROUND, output="logit", target=1)
    with torch.no_grad(): p = net(torch.tensor(ROW.to_numpy()).float()[None])[0]
    logs = torch.nn.Sequential(net[0], torch.nn.LogSoftmax(1))
    for network in (net, logs):
        assert ends(il.tabular_game(network, ROW, BACKGROUND, target=1))[1].item() == pytest.approx(torch.logit(p[1]).item(), abs=1e-4)
    game = il.tabular_game(says, ROW, BACKGROUND, target=1)
    assert game.meta["output"] == "prob" and ends(game)[1].item() == pytest.approx(says(ROW.to_numpy()[None])[0, 1])


class Tokens(torch.nn.Module):
    "Identifiers and an amount: a network that converts its rows itself."
    def __init__(self, whole=False):
        super().__init__()
        torch.manual_seed(1)
        self.table, self.head, self.whole = torch.nn.Embedding(3000, 4), torch.nn.Linear(5, 2), whole
    def forward(self, rows):
        ids = rows[:, 0] if self.whole else rows[:, 0].long()
        return self.head(torch.cat([self.table(ids), rows[:, 1:].to(self.head.weight.dtype)], 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("whole", [True, False])
def test_identifiers_in_networks(dtype, whole):
    net = Tokens(whole).to(dtype)
    row = torch.tensor([2049, 3]) if whole else torch.tensor([2049., .5])
    base = torch.tensor([17, 1]) if whole else torch.tensor([17., .25])
    game = il.tabular_game(net, row, base, output="logit", target=1)
    with torch.no_grad(): want = net(torch.stack([base, row]))[:, 1].double()
    torch.testing.assert_close(ends(game), want, atol=1e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="row: 2049 is 2048 in torch.float16"): il.tabular_game(torch.nn.Linear(2, 2).half(), torch.tensor([2049, 3]), torch.tensor([1, 2]))
    with pytest.warns(UserWarning, match="row: 2049 is 2048 in torch.float16"): il.tabular_game(torch.nn.Linear(2, 2).half(), torch.tensor([2049., .5]), torch.tensor([1., 2.]))


def test_networks_in_double_precision_and_with_integers():
    double = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).double()
    row = torch.tensor(ROW.to_numpy())
    with torch.no_grad(): want = double(row[None])[0]
    for predict in (double, double.forward): assert ends(il.tabular_game(predict, ROW, BACKGROUND, target=0, output="logit"))[1].item() == pytest.approx(want[0].item(), abs=1e-12)
    linear = torch.nn.Linear(4, 2)                                       # integers for a network of amounts
    with torch.no_grad(): assert torch.allclose(ends(il.tabular_game(linear, [1, 2, 3, 4], [0, 0, 0, 0], target=1, output="logit")), linear(torch.tensor([[0., 0, 0, 0], [1, 2, 3, 4]]))[:, 1].double())
    with pytest.raises(TypeError, match="row: got a DataFrame .its column colour is category.; it must be numbers"): il.tabular_game(linear, TRADE[:1], OTHERS)


SHOP = TRADE.assign(shop=DRAW.choice(["x", "y"], 300), id=TRADE.id + 2**60)          # as float64 all these identifiers are the same
SOME = SHOP.iloc[1:6]


class Even(BaseEstimator, TransformerMixin):
    "Whether an identifier is even: nothing but the exact integer tells."
    def fit(self, x, y=None): return self
    def transform(self, x): return np.stack([[int(i) % 2 for i in x["id"]]], 1)


@pytest.fixture(scope="module")
def pipeline():
    columns = make_column_transformer((OneHotEncoder(), ["colour", "shop"]), (SimpleImputer(), ["income"]), (Even(), ["id"]), remainder=StandardScaler())
    return make_pipeline(columns, LogisticRegression()).fit(SHOP, BUYS)


@pytest.mark.parametrize("row, background", [
    (SHOP.iloc[0], SOME), (SHOP.iloc[:1], SOME), (SHOP.iloc[0][::-1], SOME), (SHOP.iloc[0], SOME.iloc[:, ::-1]), (SHOP.iloc[0].to_list(), SOME), (SHOP.iloc[0].to_numpy(), SOME.to_numpy()),
    (SHOP.iloc[:1], [r.to_list() for _, r in SOME.iterrows()]), (SHOP.iloc[0].to_list(), [tuple(r) for r in SOME.to_numpy()]), (SHOP.convert_dtypes().iloc[:1], SOME.convert_dtypes()), (SHOP.iloc[:1].astype({"colour": object}), SOME.astype({"colour": object}))],
    ids=["series", "frame", "row reversed", "columns reversed", "list", "array", "frame and lists", "lists", "nullable", "texts"])
def test_a_pipeline_of_categories_texts_identifiers_and_missing_values(pipeline, row, background):
    for predict, ask in ((pipeline, pipeline.decision_function), (lambda rows: pipeline.predict_proba(rows)[:, 1], lambda rows: pipeline.predict_proba(rows)[:, 1])):
        if not hasattr(predict, "fit") and not hasattr(row, "iloc") and not hasattr(background, "iloc"): continue           # nobody said the names
        game = il.tabular_game(predict, row, background, target=1 if hasattr(predict, "fit") else None, players=list(SHOP))
        order = [game.players.index(c) for c in SHOP]
        table = il.evaluate(game, progress=False)
        turned = torch.tensor([sum(1 << order[k] for k in range(5) if c >> k & 1) for c in range(32)])
        torch.testing.assert_close(table[turned], by_hand(ask, SHOP.iloc[:1], SOME), atol=1e-9, rtol=1e-9)


def test_missing_values():
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype").fit(TRADE, BUYS)
    missing = TRADE[TRADE.income.isna()].iloc[:1]
    for row in (missing, missing.iloc[0]): same(il.tabular_game(model, row, OTHERS, target=1), model.decision_function, missing)
    nobody = TRADE.iloc[:1].assign(income=np.nan, colour=pd.Series([None], dtype=TRADE.colour.dtype))      # a missing value as the baseline
    for base in (nobody, nobody.iloc[0]): same(il.tabular_game(model, TRADE.iloc[:1], base, target=1), model.decision_function, TRADE.iloc[:1], nobody)
    with pytest.raises(ValueError, match="LogisticRegression does not take such rows.*NaN"): il.tabular_game(LogisticRegression().fit(X, labels("two")), [1, np.nan, 2, 3], BACKGROUND)
    light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X.where(X > 1), labels("two"))
    game = il.tabular_game(light, [np.nan, 2., np.nan, 1.], BACKGROUND)
    assert abs(ends(game)[1]) == pytest.approx(abs(light.predict_proba(pd.DataFrame([[np.nan, 2, np.nan, 1]], columns=X.columns), raw_score=True)[0]), abs=1e-6)


def test_a_row_without_names_for_a_model_with_names():
    forest = RandomForestClassifier(9, random_state=0).fit(X, labels("strings"))
    ask = lambda rows: forest.predict_proba(rows)[:, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")                                   # no "X does not have valid feature names"
        for row, base in ((ROW.to_numpy(), BACKGROUND.to_numpy()), (torch.tensor(ROW.to_numpy()), BACKGROUND), (ROW.to_list(), BACKGROUND.to_numpy().tolist()), (ROW, BACKGROUND.to_numpy()), (ROW[::-1], BACKGROUND), (ROW, BACKGROUND[["d", "a", "c", "b"]]),
                          (ROW.reset_index(drop=True), BACKGROUND)):
            for predict in (forest, forest.predict_proba):
                game = il.tabular_game(predict, row, base, target="yes")
                assert sorted(game.players) == list("abcd")
                check(game, ask)
        turned = il.tabular_game(forest, ROW.to_numpy()[::-1].copy(), BACKGROUND, columns=list("dcba"), target="yes")
        check(turned, ask)
        assert turned.players == list("dcba")
        check(il.tabular_game(forest, ROW, BACKGROUND, columns=list("dcba"), target="yes"), ask)
        plain = RandomForestClassifier(9, random_state=0).fit(X.to_numpy(), labels("strings"))
        check(il.tabular_game(plain, ROW, BACKGROUND, target="yes"), lambda rows: plain.predict_proba(rows.to_numpy())[:, 1])
    for row, base, columns, message in ((ROW.to_numpy(), BACKGROUND[["d", "a", "c", "b"]], None, "in another order than the model's"), (ROW, BACKGROUND, list("wxyz"), "row: its columns are a, b, c, d; `columns` are w, x, y, z"),
                                        (ROW.to_numpy(), BACKGROUND.to_numpy(), list("wxyz"), "the model was trained on a, b, c, d"), (ROW[:3], BACKGROUND, None, "baseline: its columns are"), ([1., 2.], [0., 0.], None, "got 2 columns; the model was trained on 4"),
                                        (ROW.rename({"a": "z"}), BACKGROUND.rename(columns={"a": "z"}), None, "the model was trained on a, b, c, d")):
        with pytest.raises(ValueError, match=message): il.tabular_game(forest, row, base, columns=columns)


def test_names_that_are_numbers():
    x = X.set_axis([10, 20, 30, 2], axis=1)
    model = LogisticRegression().fit(x, labels("two"))
    row, base = x.iloc[0], x.iloc[1:6]
    game = il.tabular_game(model, row, base[[2, 30, 20, 10]], target=1)
    assert game.players == ["10", "20", "30", "2"]
    same(game, model.decision_function, x.iloc[:1], base)
    whole = il.evaluate(game, progress=False)
    grouped = il.tabular_game(model, row, base, target=1, groups={"far": [10, "30"], "near": [np.int64(20), 2]})
    torch.testing.assert_close(il.evaluate(grouped, progress=False), whole[[0, 5, 10, 15]])
    for players in ([10, 30], ["30", "10"], np.array([30, 10])):
        assert il.tabular_game(model, row, base, target=1, players=players).players == ["10", "30"]
    assert il.tabular_game(model, row, base, players=[0, 1]).players == ["10", "20"]
    with pytest.raises(ValueError, match="names of some columns and positions of others"): il.tabular_game(model, row, base, players=[2])
    large = pd.DataFrame({"id": [2**60 + 1, 2**60 + 2], "x": [.5, 1.]})
    with pytest.raises(ValueError, match="row: its column 'id' is 1.15.*e.18, which may have been another integer"): il.tabular_game(lambda rows: rows["id"] % 2, large.iloc[0], large)
    assert ends(il.tabular_game(lambda rows: rows["id"] % 2, large.iloc[:1], large.iloc[1:])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="groups: got 5 in 'g'; the columns are 10, 20, 30, 2"): il.tabular_game(model, row, base, groups={"g": [5]})
    count = X.set_axis(range(4), axis=1)
    assert il.tabular_game(model, count.iloc[0], count.iloc[1:6], players=[0, 2], groups=None).players == ["0", "2"]
    assert il.tabular_game(model, count.iloc[0], count.iloc[1:6], groups={"g": [0, 3], "h": [1]}).players == ["g", "h"]


def test_functions_get_what_they_were_made_for():
    frame, array = (lambda rows: rows["a"] * rows["b"]), (lambda rows: rows[:, 0] * rows[:, 1])
    for predict in (frame, array, lambda rows: np.asarray(rows)[:, 0] * np.asarray(rows)[:, 1]): check(il.tabular_game(predict, ROW, BACKGROUND), lambda rows: (rows.a * rows.b).to_numpy())
    check(il.tabular_game(frame, ROW.to_list(), BACKGROUND.to_numpy(), columns=list("abcd")), lambda rows: (rows.a * rows.b).to_numpy())
    lookup = np.array([5., 7., 11.])
    assert ends(il.tabular_game(lambda rows: lookup[rows[:, 0]], [2, 1], [0, 1])).tolist() == [5, 11]       # integers stay integers
    net = torch.nn.Linear(4, 1)
    with torch.no_grad(): want = net(torch.tensor(ROW.to_numpy()).float()[None]).item()
    assert ends(il.tabular_game(lambda rows: net(torch.as_tensor(np.asarray(rows))), ROW, BACKGROUND))[1].item() == pytest.approx(want, abs=1e-5)
    with pytest.raises(ValueError, match="in one form, .* in another"): il.tabular_game(lambda rows: rows.std(axis=1), ROW, BACKGROUND)
    for wrong, message in ((lambda rows: rows.shape, "asked about"), (lambda rows: ["yes"] * len(rows), "the names of classes"), (lambda rows: 1 / 0, "does not take such rows.*division")):
        with pytest.raises(ValueError, match=message): il.tabular_game(wrong, ROW, BACKGROUND)


def test_wrappers_in_the_style_of_scikit_learn():
    torch.manual_seed(0)
    class Wrapped:                                                       # as skorch: float32 only
        def __init__(self): self.net, self.classes_ = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Softmax(1)), np.array(["no", "yes"])
        def predict_proba(self, rows):
            with torch.no_grad(): return self.net(torch.as_tensor(np.asarray(rows))).numpy()
        def predict(self, rows): return self.classes_[self.predict_proba(rows).argmax(1)]
    own = Wrapped()
    for predict in (own, own.predict_proba): check(il.tabular_game(predict, ROW, BACKGROUND, target="yes"), lambda rows: own.predict_proba(rows.to_numpy(np.float32))[:, 1])
    fitted = LogisticRegression().fit(X, labels("strings"))
    class Raw:                                                           # as CatBoost
        feature_names_, classes_ = list("abcd"), np.array(["no", "yes"])
        def predict_proba(self, rows): return np.float32(fitted.predict_proba(rows))
        def predict(self, rows, prediction_type="Class"): return fitted.decision_function(rows) if prediction_type == "RawFormulaVal" else fitted.predict(rows)[:, None]
    game = il.tabular_game(Raw(), 40 * ROW.to_numpy(), BACKGROUND.to_numpy(), target="yes")
    assert game.meta["output"] == "log_odds" and ends(game)[1].item() == pytest.approx(fitted.decision_function(40 * X[:1])[0], abs=1e-9)


def test_stacks_and_searches_are_opened():
    stack = StackingClassifier([("a", GaussianNB())], xgboost.XGBClassifier(n_estimators=300, learning_rate=1., min_child_weight=0, n_jobs=1), cv=3).fit(X, labels("two"))
    search = GridSearchCV(make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=5, n_jobs=1)), {"xgbclassifier__max_depth": [2]}, cv=2).fit(X, labels("two"))
    inner = search.best_estimator_
    for model, ask in ((stack, lambda rows: stack.final_estimator_.predict(stack.transform(rows), output_margin=True)), (search, lambda rows: inner[-1].predict(inner[:-1].transform(rows), output_margin=True))):
        game = il.tabular_game(model, ROW, BACKGROUND, target=1)
        assert game.meta["output"] == "log_odds"
        check(game, lambda rows: ask(rows).astype(float))
    with pytest.raises(ValueError, match="one for each pair"): il.tabular_game(StackingClassifier([("a", GaussianNB())], SVC(decision_function_shape="ovo"), cv=2).fit(X, labels("three")), ROW, BACKGROUND, target=1)
    alone = SimpleNamespace(predict_proba=LogisticRegression().fit(X, labels("three")).predict_proba)
    check(il.tabular_game(alone, ROW, BACKGROUND, target=1), lambda rows: alone.predict_proba(rows)[:, 1])


def test_the_logit_is_the_decision_value():
    for kind in ("strings", "three"):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, labels(kind))
        for k, c in enumerate(map(str, model.classes_)):
            values = lambda rows: model.decision_function(rows) * (1 if k else -1) if kind == "strings" else model.decision_function(rows)[:, k]
            for predict in (model, model.decision_function): check(il.tabular_game(predict, ROW, BACKGROUND, target=c, output="logit"), values)
            for output, ask in (("prob", lambda rows: model.predict_proba(rows)[:, k]), ("log_prob", lambda rows: model.predict_log_proba(rows)[:, k])):
                check(il.tabular_game(model, ROW, BACKGROUND, target=c, output=output), ask)
            check(il.tabular_game(model, ROW, BACKGROUND, target=c, rival=k - 1 if k else 1, output="margin"), lambda rows: np.subtract(*model.predict_log_proba(rows).T[[k, k - 1 if k else 1]]))


def test_rows_that_are_no_rows():
    forest = RandomForestClassifier(3, random_state=0).fit(X, labels("two"))
    for change, error, message in ((dict(row=[]), ValueError, "row: got shape"), (dict(row={1, 2}), TypeError, "row: got a set"), (dict(row=3.), TypeError, "row: got a float"), (dict(row=X), ValueError, r"row: got shape \(90, 4\)"),
                                   (dict(baseline="mean"), TypeError, "baseline: got a str"), (dict(baseline=None), TypeError, "baseline: got a NoneType"), (dict(baseline=np.zeros((2, 2, 4))), ValueError, r"baseline: got shape \(2, 2, 4\)"),
                                   (dict(baseline=X[:0]), ValueError, "baseline: got a tensor of shape"), (dict(baseline=[[1, 2, 3, 4], [1]]), ValueError, "baseline: got rows of 1 and 4 columns"), (dict(row=[1, 2, "three", 4]), ValueError, "both must be of one type"),
                                   (dict(row=ROW.set_axis(list("aacd"))), ValueError, "row: got 3 different names"), (dict(predict=RandomForestClassifier), TypeError, "predict: got the class RandomForestClassifier"), (dict(predict=RandomForestClassifier()), ValueError, "not fitted"),
                                   (dict(predict=StandardScaler().fit(X)), TypeError, "predict: got a StandardScaler"), (dict(predict=forest.predict), ValueError, "only names classes"), (dict(predict=RandomForestClassifier(2).fit(X, np.zeros(90))), ValueError, "a single class"),
                                   (dict(predict=torch.nn.Linear(4, 2), row=np.array([1j, 0, 0, 0])), TypeError, "complex128"), (dict(predict=torch.nn.Linear(4, 2), row=[2**60 + 1, 0, 0, 0]), ValueError, "another number in float64"),
                                   (dict(predict=lightgbm.LGBMClassifier(objective="multiclassova", n_estimators=3, verbose=-1).fit(X, labels("three"))), ValueError, "do not exclude each other"),
                                   (dict(predict=xgboost.XGBClassifier(objective="binary:hinge", n_estimators=3).fit(X, labels("two"))), ValueError, "only names classes")):
        with pytest.raises(error, match=message): il.tabular_game(**dict(predict=forest, row=ROW, baseline=BACKGROUND) | change)
    pairs = X.set_axis(pd.MultiIndex.from_product([["u", "w"], ["a", "b"]]), axis=1)
    model = LogisticRegression().fit(pairs, labels("two"))
    game = il.tabular_game(model, pairs.iloc[0], pairs[1:6], players=[("u", "a"), ("w", "b")])
    assert game.meta["indices"] == [0, 3]


def test_the_cache_knows_the_rows(tmp_path):
    forest = RandomForestClassifier(3, random_state=0).fit(X, labels("two"))
    tables = [il.evaluate(il.tabular_game(*args, target=1), progress=False, cache=tmp_path) for args in ((forest, ROW, BACKGROUND), (forest, ROW, X.iloc[7:12]), (forest, X.iloc[3], BACKGROUND))]
    assert len(list(tmp_path.glob("*.safetensors"))) == 3 and not torch.equal(tables[0], tables[1])
    assert torch.equal(il.evaluate(il.tabular_game(forest, ROW, BACKGROUND, target=1), progress=False, cache=tmp_path), tables[0]) and len(list(tmp_path.glob("*.safetensors"))) == 3


def test_random_players_differ_from_the_baseline():
    row, base = SHOP.iloc[:1], SHOP.iloc[:1].assign(shop="z", income=9.)
    ask = lambda rows: rows.income + (rows["shop"] == "z")
    game = il.tabular_game(ask, row, base, players=2, choose="random")
    assert game.players == ["income", "shop"]
    with pytest.raises(ValueError, match="players: got 3; there are 2 eligible columns"): il.tabular_game(ask, row, base, players=3, choose="random")


def test_references_are_not_asked_one_by_one():
    forest, asked = RandomForestClassifier(3, random_state=0).fit(X.to_numpy(), labels("two")), []
    def says(rows):
        asked.append(len(rows))
        return forest.predict_proba(np.asarray(rows))
    v = il.evaluate(il.tabular_game(says, ROW, X.iloc[:100], target=1), progress=False)
    assert len(v) == 16 and len(asked) <= 20, "every single reference was asked alone"


@pytest.mark.parametrize("target", [1, np.int64(1), [1]])
def test_numbers_that_are_also_names_are_refused_where_the_names_are_strings(target):
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = LogisticRegression().fit(X, np.where(X[:, 0] > 0, "2", "1"))
    with pytest.raises(ValueError, match="target: got 1, which is the name of class number 0 and the number of class '2'"): il.tabular_game(model, X[0], X[1], target=target)
    v = il.evaluate(il.tabular_game(model, X[0], X[1], target="1"), progress=False)
    np.testing.assert_allclose(v[[0, -1]], -model.decision_function(X[[1, 0]]))
    same = LogisticRegression().fit(X, np.where(X[:, 0] > 0, "1", "0"))
    v = il.evaluate(il.tabular_game(same, X[0], X[1], target=1), progress=False)
    np.testing.assert_allclose(v[[0, -1]], same.decision_function(X[[1, 0]]))


def test_a_function_that_returns_whole_numbers_is_told_what_they_may_be():
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = LogisticRegression().fit(X, X[:, 0] > 0)
    with pytest.warns(UserWarning, match="predict: .* returns bool, such as [01]; .* which the number of a class is not"): il.tabular_game(lambda rows: model.predict(rows), X[0], X[1])


def test_a_row_and_a_reference_of_the_same_probability_give_no_alarm():
    X = np.array([[0., 0.], [1., 0.], [0., 1.], [1., 1.]])
    forest = RandomForestClassifier(7, bootstrap=False, random_state=0).fit(X, [0, 1, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        v = il.evaluate(il.tabular_game(forest, X[3], X[0], target=1), progress=False)
    np.testing.assert_allclose(v, forest.predict_proba(X)[:, 1])


@pytest.mark.parametrize("target", [b"1", {1}, frozenset({0, 1}), {1: "yes"}, torch.tensor([[0, 1]]), np.array([[1]])], ids=["bytes", "set", "frozenset", "dict", "tensor", "array"])
def test_targets_without_an_order_or_of_another_shape_are_refused(target):
    model = LogisticRegression().fit(X.iloc[:40], X.a[:40] > 2)
    with pytest.raises(TypeError, match="target: got .* it must be None"): il.tabular_game(model, ROW, BACKGROUND, target=target)


@pytest.mark.parametrize("make", [lambda: IsolationForest(n_estimators=5, random_state=0), lambda: OneClassSVM(), lambda: LocalOutlierFactor(novelty=True), lambda: make_pipeline(StandardScaler(), OneClassSVM())],
                         ids=["IsolationForest", "OneClassSVM", "LocalOutlierFactor", "pipeline"])
def test_outliers_have_decision_values_and_no_classes_to_explain(make):
    model = make().fit(X)
    with pytest.raises(ValueError, match="only names classes"): il.tabular_game(model.predict, ROW, BACKGROUND.iloc[0])
    v = il.evaluate(il.tabular_game(model, ROW, BACKGROUND.iloc[0]), progress=False)
    np.testing.assert_allclose(v[[-1, 0]], model.decision_function(X.iloc[:2]))


@pytest.mark.parametrize("names", [("1.0", "2.0"), ("1", "2"), ("02", "01")])
def test_names_that_say_other_numbers(names):
    model = LogisticRegression().fit(X, np.where(X.a > 2, *names))
    with pytest.raises(ValueError, match="target: got 1, which is the name of class number 0"): il.tabular_game(model, ROW, BACKGROUND, target=1)
    assert il.tabular_game(model, ROW, BACKGROUND, target=names[0]).meta["target"] == names[0]


def test_a_classifier_that_does_not_predict_the_most_probable_class_has_no_default():
    from sklearn.model_selection import FixedThresholdClassifier
    model = FixedThresholdClassifier(LogisticRegression(), threshold=.9).fit(X, X.a + X.b > 4)
    p = model.predict_proba(X)[:, 1]
    between, sure = np.flatnonzero((p > .5) & (p < .9))[0], p.argmax()
    with pytest.raises(ValueError, match="target: got None; FixedThresholdClassifier predicts 'False', but 'True' is the most probable"): il.tabular_game(model, X.iloc[between], BACKGROUND)
    assert il.tabular_game(model, X.iloc[sure], BACKGROUND).meta["target"] == "True"
    v = il.evaluate(il.tabular_game(model, X.iloc[between], BACKGROUND.iloc[0], target=True), progress=False)
    np.testing.assert_allclose(v[[-1, 0]], model.decision_function(X.iloc[[between, 1]]))
