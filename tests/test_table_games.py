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
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.ensemble import AdaBoostClassifier, ExtraTreesClassifier, IsolationForest, RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
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


def by_hand(ask, row=TRADE.iloc[:1], background=OTHERS):
    "The value table of a function of DataFrames, one coalition at a time."
    table = []
    for c in range(2**row.shape[1]):
        rows = background.copy()
        for k, name in enumerate(row.columns):
            if c >> k & 1: rows[name] = pd.Series(row[name].to_numpy().repeat(len(rows)), index=rows.index).astype(row.dtypes.iloc[k])
        table.append(np.mean(ask(rows)))
    return torch.tensor(np.array(table, float))


def same(game, ask, tolerance=1e-6): torch.testing.assert_close(il.evaluate(game, progress=False), by_hand(ask), atol=tolerance, rtol=tolerance)


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
        want = by_hand(lambda rows: booster.predict(matrix(rows))).reshape([2] * 4).permute([3 - order[3 - k] for k in range(4)]).flatten()
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
    with pytest.raises(ValueError, match="binary:hinge only names classes"): il.tabular_game(boosters.extreme["hinge"], TRADE.iloc[0], OTHERS)


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
    for predict in (net, net.half(), lambda rows: forest.predict_proba(np.asarray(rows)), xgb_multiclass().predict):
        for output in ("log_odds", "log_prob", "prob"):
            with pytest.raises(ValueError, match="returns probabilities|no logits"): il.tabular_game(predict, ROW, BACKGROUND, output=output, target=1)
        assert ends(il.tabular_game(predict, ROW, BACKGROUND, output="logit", target=1)).max() <= 1
    with pytest.raises(ValueError, match="returns probabilities"): il.tabular_game(net.float(), ROW, BACKGROUND)
    logs = torch.nn.Sequential(net[0], torch.nn.LogSoftmax(1))
    with torch.no_grad(): p = net(torch.tensor(ROW.to_numpy()).float()[None])[0]
    assert ends(il.tabular_game(logs, ROW, BACKGROUND, target=1))[1].item() == pytest.approx(torch.log(p[1] / (1 - p[1])).item(), abs=1e-5)


def xgb_multiclass(): return xgboost.train(dict(objective="multi:softprob", num_class=3, nthread=1), xgboost.DMatrix(X, labels("three")), 3)


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
