"""Real tables: every row that is asked keeps its categories and its gaps, and effects add up to the margin that the model itself gives; a forest that is sure, and 500 columns."""
import warnings

import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import interlib as il
from interlib.nets.tables import read_tab

warnings.filterwarnings("ignore")
N = 1500
EIGHT = ["workclass", "education", "marital-status", "occupation", "relationship", "sex", "age", "hours-per-week"]


@pytest.fixture(scope="module")
def adult():
    "Eight columns of the census, some of them missing, and whether the income is above 50,000 dollars."
    t = il.fetch_table("adult", progress=False)
    return t.x[EIGHT], (t.y == t.positive).astype(int)


@pytest.fixture(scope="module")
def rows(adult):
    "A row with two missing values, and references of which two have missing values as well."
    x, _ = adult
    missing = x.index[x.workclass.isna()]
    return x.loc[[missing[3]]], pd.concat([x[5000:5005], x.loc[missing[20:22]]])


def by_hand(ask, row, background, players, coalitions):
    "The value of coalitions by tables made one column at a time."
    found = []
    for present in coalitions:
        asked = background.copy()
        for name, here in zip(players, present):
            if here: asked[name] = pd.Series([row[name].iloc[0]] * len(asked), index=asked.index).astype(row[name].dtype)
        found.append(np.mean(np.asarray(ask(asked), dtype=float)))
    return torch.tensor(np.array(found))


def some_coalitions(n, k=40):
    chosen = torch.rand(k, n, generator=torch.Generator().manual_seed(0)) > .5
    chosen[0], chosen[1] = True, False
    return chosen


def one_hot(last, x):
    "A pipeline of categories and numbers, both filled in where they are missing."
    texts = [c for c in x if not pd.api.types.is_numeric_dtype(x[c])]
    rest = [c for c in x if c not in texts]
    filled = make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=np.nan), OneHotEncoder(handle_unknown="ignore"))
    return make_pipeline(make_column_transformer((filled, texts), (make_pipeline(SimpleImputer(), StandardScaler()), rest)), last)


def fitted(kind, x, y):
    "A model and what it says itself: its margin, or the probability or the number where it has none."
    few = dict(n_estimators=15, n_jobs=1)
    if kind == "hist":
        m = HistGradientBoostingClassifier(max_iter=15, categorical_features="from_dtype").fit(x, y)
        return m, m.decision_function
    if kind == "lightgbm":
        m = lightgbm.LGBMClassifier(verbose=-1, **few).fit(x, y)
        return m, lambda d: m.predict_proba(d, raw_score=True)
    if kind == "lightgbm booster":
        m = lightgbm.train(dict(objective="binary", verbose=-1, num_threads=1), lightgbm.Dataset(x, y), 15)
        return m, lambda d: m.predict(d, raw_score=True)
    if kind == "xgboost":
        m = xgboost.XGBClassifier(enable_categorical=True, **few).fit(x, y)
        return m, lambda d: m.predict(d, output_margin=True)
    if kind == "xgboost booster":
        m = xgboost.train(dict(objective="binary:logistic", nthread=1), xgboost.DMatrix(x, y, enable_categorical=True), 15)
        return m, lambda d: m.predict(xgboost.DMatrix(d, enable_categorical=True), output_margin=True)
    if kind == "logistic":
        m = one_hot(LogisticRegression(max_iter=500), x).fit(x, y)
        return m, m.decision_function
    if kind == "search":
        m = GridSearchCV(one_hot(LogisticRegression(max_iter=500), x), {"logisticregression__C": [.1, 1.]}, cv=2).fit(x, y)
        return m, m.decision_function
    m = one_hot(RandomForestClassifier(15, random_state=0, n_jobs=1), x).fit(x, y)
    return m, lambda d: m.predict_proba(d)[:, 1]


KINDS = ["hist", "lightgbm", "lightgbm booster", "xgboost", "xgboost booster", "logistic", "search", "forest"]


@pytest.mark.parametrize("kind", KINDS)
def test_effects_add_up_to_what_the_model_says(adult, rows, kind):
    x, y = adult
    model, ask = fitted(kind, x[:N], y[:N])
    row, background = rows
    output = "prob" if kind == "forest" else "log_odds"
    chosen = some_coalitions(8, 20)
    want = by_hand(ask, row, background, EIGHT, chosen)
    for given in (row, row.iloc[0], row.iloc[0][::-1]):                  # with types, without, in another order
        game = il.tabular_game(model, given, background, target=1, output=output)
        found = game(chosen[:, [EIGHT.index(p) for p in game.players]]).double()
        torch.testing.assert_close(found, want, atol=1e-6, rtol=1e-6)
    said = torch.tensor(np.asarray(ask(row), dtype=float))[0]
    game = il.tabular_game(model, row, background, target=1, output=output)
    v = il.evaluate(game, progress=False)
    for x_ in (il.harsanyi(v, players=game.players), il.decompose(v, players=game.players, noise=0)):
        assert abs(x_.predict()[-1] - said) < 1e-6                       # all effects together


@pytest.mark.parametrize("name", ["heart_disease", "titanic"])
@pytest.mark.parametrize("kind", ["hist", "lightgbm", "xgboost", "logistic", "forest"])
def test_other_tables(name, kind):
    t = il.fetch_table(name, progress=False)
    x, y = t.x.rename(columns=lambda c: c.replace(">", "over")), (t.y == t.positive).astype(int)
    model, ask = fitted(kind, x, y)
    missing = x.index[x.isna().any(axis=1)]
    row = x.loc[missing[:1]] if len(missing) else x[-1:]
    background = pd.concat([x[10:15], x.loc[missing[1:3]]])
    game = il.tabular_game(model, row, background, target=1)
    chosen = some_coalitions(game.n)
    torch.testing.assert_close(game(chosen).double(), by_hand(ask, row, background, game.players, chosen), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("Regressor", [lambda: HistGradientBoostingRegressor(max_iter=10), lambda: lightgbm.LGBMRegressor(n_estimators=10, n_jobs=1, verbose=-1), lambda: xgboost.XGBRegressor(n_estimators=10, n_jobs=1, enable_categorical=True)], ids=["hist", "lightgbm", "xgboost"])
def test_regressions_of_hours(adult, rows, Regressor):
    x, _ = adult
    (row, background), rest = rows, EIGHT[:-1]
    model = Regressor().fit(x[rest][:N], x["hours-per-week"][:N])
    game = il.tabular_game(model, row[rest], background[rest])
    chosen = some_coalitions(7)
    torch.testing.assert_close(game(chosen).double(), by_hand(model.predict, row[rest], background[rest], game.players, chosen), atol=1e-6, rtol=1e-6)


def test_a_function_gets_the_types_of_the_table(adult, rows):
    x, y = adult
    model, ask = fitted("lightgbm", x[:N], y[:N])
    asked = []
    def says(d):
        asked.append(len(d))
        assert isinstance(d, pd.DataFrame) and list(d) == EIGHT
        for c in EIGHT:
            assert d[c].dtype == x[c].dtype, c
            if hasattr(x[c].dtype, "categories"):
                assert list(d[c].cat.categories) == list(x[c].cat.categories) and d[c].cat.ordered == x[c].cat.ordered
        return ask(d)
    row, background = rows
    for given in (row, row.iloc[0], row.iloc[0].tolist()):
        game = il.tabular_game(says, given, background)
        assert il.evaluate(game, progress=False)[-1] == pytest.approx(ask(row)[0], abs=1e-9)
    assert sum(asked) > 3 * 2**8


TYPES = {
    "texts": lambda s: s.astype("str"), "objects with None": lambda s: pd.Series([None if v != v else v for v in s.astype(object)], s.index, dtype=object),
    "objects with NaN": lambda s: s.astype(object), "categories": lambda s: s,
}


@pytest.mark.parametrize("kind", list(TYPES))
def test_missing_texts_of_every_kind_stay_what_they_are(adult, rows, kind):
    x, y = adult
    texts = [c for c in x if not pd.api.types.is_numeric_dtype(x[c])]
    x = x.assign(**{c: TYPES[kind](x[c]) for c in texts})
    row, background = (x.loc[r.index] for r in rows)
    encoded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), remainder="passthrough")
    model = make_pipeline(encoded, LogisticRegression(max_iter=300)).fit(x[:N], y[:N])       # None and NaN are different categories to it
    chosen = some_coalitions(8)
    for given in (row, row.iloc[0]):
        game = il.tabular_game(model, given, background, target=1)
        torch.testing.assert_close(game(chosen).double(), by_hand(model.decision_function, row, background, game.players, chosen), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["hist", "lightgbm", "xgboost"])
def test_numbers_of_pandas_own_types(adult, rows, kind):
    x, y = adult
    x = x.assign(age=x.age.astype("Int64"), rich=pd.array([True, None, False] * (len(x) // 3) + [True] * (len(x) % 3), dtype="boolean"))
    x["hours-per-week"] = x["hours-per-week"].astype("Float64").mask(x.index % 4 == 0)
    x["age"] = x.age.mask(x.index % 5 == 0)
    model, ask = fitted(kind, x[:N], y[:N])
    for i in (0, 1, 5):
        row, background = x[i:i + 1], x.loc[rows[1].index]
        for given in (row, row.iloc[0]):
            found = il.tabular_game(model, given, background, target=1)(torch.tensor([[True] * 9, [False] * 9])).double()
            torch.testing.assert_close(found, torch.tensor([float(ask(row)[0]), float(np.mean(np.asarray(ask(background), dtype=float)))]).double(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["hist", "lightgbm", "xgboost"])
def test_a_model_without_interactions_has_none(adult, rows, kind):
    "In log-odds, to the last digits; scikit-learn counts constraints with the categories first, so they come first."
    x, y = adult
    x = x[sorted(x, key=lambda c: pd.api.types.is_numeric_dtype(x[c]))]
    few, own = dict(n_estimators=15, n_jobs=1), [[k] for k in range(8)]
    model = {"hist": HistGradientBoostingClassifier(max_iter=15, categorical_features="from_dtype", interaction_cst=own),
             "lightgbm": lightgbm.LGBMClassifier(verbose=-1, interaction_constraints=own, **few),
             "xgboost": xgboost.XGBClassifier(enable_categorical=True, max_depth=1, **few)}[kind].fit(x[:N], y[:N])
    row, background = rows
    v = il.evaluate(il.tabular_game(model, row, background, target=1), progress=False)
    order = torch.tensor([bin(c).count("1") for c in range(2**8)])
    effects = il.and_transform(v)
    assert effects[order == 1].abs().max() > .1 and effects[order > 1].abs().max() < (1e-5 if kind == "xgboost" else 1e-12)      # float32


@pytest.mark.parametrize("kind", ["hist", "lightgbm", "xgboost booster"])
def test_columns_in_another_order_are_the_same_game(adult, rows, kind):
    x, y = adult
    model, _ = fitted(kind, x[:N], y[:N])
    row, background = rows
    v = il.tabular_game(model, row, background, output="log_odds", target=1)
    mixed = [EIGHT[k] for k in (5, 2, 7, 0, 1, 6, 3, 4)]
    w = il.tabular_game(model, row[mixed], background, output="log_odds", target=1)
    assert w.players == mixed
    chosen = some_coalitions(8)
    torch.testing.assert_close(w(chosen[:, [EIGHT.index(c) for c in mixed]]), v(chosen), atol=1e-12, rtol=0)
    effects = [il.harsanyi(il.evaluate(g, progress=False), players=g.players).to_frame() for g in (v, w)]
    named = [{frozenset(p): e for p, e in zip(f.players, f.effect)} for f in effects]
    assert all(abs(named[0].get(k, 0) - named[1].get(k, 0)) < 1e-9 for k in named[0].keys() | named[1].keys())


def test_columns_of_one_category_are_one_player(adult, rows):
    x, y = adult
    hot = pd.get_dummies(x, columns=["marital-status", "sex"], dummy_na=False).drop(columns=["workclass", "education", "occupation", "relationship"])
    model = HistGradientBoostingClassifier(max_iter=15).fit(hot[:N], y[:N])
    groups = {c: [k for k in hot if k.startswith(c)] for c in ("age", "hours-per-week", "marital-status", "sex")}
    row, background = (hot.loc[r.index] for r in rows)
    game = il.tabular_game(model, row, background, target=1, groups=groups)
    v = il.evaluate(game, progress=False)
    assert game.players == list(groups) and abs(v[-1] - model.decision_function(row)[0]) < 1e-9
    married = background.assign(**{c: row[c].iloc[0] for c in groups["marital-status"]})
    assert abs(v[4] - model.decision_function(married).mean()) < 1e-9    # all columns of the category at once


# ---- sure models

@pytest.mark.parametrize("last, votes", [(RandomForestClassifier(20, random_state=0, n_jobs=1), 20), (KNeighborsClassifier(4), 4)])
def test_log_odds_of_a_sure_model_are_finite_where_asked(adult, rows, last, votes):
    x, y = adult
    model = one_hot(last, x).fit(x[:N], y[:N])
    row = next(x[i:i + 1] for i in range(N) if model.predict_proba(x[i:i + 1])[0].max() == 1)
    with pytest.raises(ValueError, match=f"a probability of 0 or 1.*smooth={2 / (votes + 2):.2g}"): il.tabular_game(model, row, rows[1], output="log_odds")
    smooth = 2 / (votes + 2)
    game = il.tabular_game(model, row, rows[1], output="log_odds", smooth=smooth)
    assert game.meta["smooth"] == smooth and game.meta["output"] == "log_odds"
    k = model.classes_.tolist().index(int(game.meta["target"]))
    def odds(d):
        p = (votes * model.predict_proba(d)[:, k] + 1) / (votes + 2)     # Laplace's rule of succession
        return np.log(p / (1 - p))
    v = il.evaluate(game, progress=False)
    assert v.isfinite().all() and v.abs().max() <= np.log(votes + 1) + 1e-9
    assert abs(v[-1] - np.log(votes + 1)) < 1e-9
    chosen = some_coalitions(8)
    torch.testing.assert_close(game(chosen).double(), by_hand(odds, row, rows[1], game.players, chosen), atol=1e-9, rtol=0)


def test_smoothed_values_are_not_taken_from_another_table(adult, rows, tmp_path):
    x, y = adult
    model = one_hot(RandomForestClassifier(20, random_state=0, n_jobs=1), x).fit(x[:N], y[:N])
    row, background = rows
    found = [il.evaluate(il.tabular_game(model, row, background, players=3, choose="random", output="log_odds", smooth=s), cache=tmp_path, progress=False) for s in (.1, .2)]
    assert (found[0] - found[1]).abs().max() > .01


@pytest.mark.parametrize("smooth, says", [(0, "between 0 and 1"), (1, "between 0 and 1"), ("little", "between 0 and 1"), (float("nan"), "between 0 and 1")])
def test_smooth_is_checked(adult, rows, smooth, says):
    x, y = adult
    model = one_hot(KNeighborsClassifier(4), x).fit(x[:200], y[:200])
    with pytest.raises(ValueError, match=f"smooth: got .*{says}"): il.tabular_game(model, *rows, output="log_odds", smooth=smooth)


def test_smooth_is_for_models_that_need_it(adult, rows):
    x, y = adult
    with pytest.raises(ValueError, match="smooth: got 0.1; Pipeline has a margin"): il.tabular_game(fitted("logistic", x[:200], y[:200])[0], *rows, smooth=.1)
    with pytest.raises(ValueError, match="is a network"): il.tabular_game(torch.nn.Linear(2, 2), [1., 2.], [0., 0.], smooth=.1)


def test_lost_types_are_named(adult, rows):
    x, y = adult
    model, _ = fitted("xgboost", x[:N], y[:N])
    with pytest.raises(ValueError, match="workclass is a text: if it was a category in training, give row or baseline as a DataFrame"): il.tabular_game(model, x.iloc[0], x.iloc[1])


# ---- many columns

@pytest.fixture(scope="module")
def wide():
    "500 columns, every tenth of them categories."
    rng = np.random.default_rng(0)
    x = pd.DataFrame({f"g{i}": pd.Categorical(rng.choice(list("abc"), 400)) if i % 10 == 2 else rng.normal(size=400) for i in range(500)})
    x.loc[::9, "g1"] = np.nan
    y = (x.g1.fillna(0) + (x.g2 == "a") * x.g3 - x.g5 * x.g7 > 0).astype(int)
    return x, lightgbm.LGBMClassifier(n_estimators=15, num_leaves=7, n_jobs=1, verbose=-1).fit(x, y)


def test_twelve_of_500_columns(wide):
    x, model = wide
    row, background = x[:1], x[1:3]
    game = il.tabular_game(model, row, background, players=12, target=1)
    assert game.n == 12 and "g1" in game.players
    v = il.evaluate(game, progress=False)
    raw = lambda d: model.predict_proba(d, raw_score=True)
    assert abs(v[-1] - raw(row)[0]) < 1e-6
    chosen = some_coalitions(12, 10)
    others = x.iloc[[0] * 2].reset_index(drop=True).assign(**background[game.players].reset_index(drop=True))
    torch.testing.assert_close(game(chosen).double(), by_hand(raw, row, others, game.players, chosen), atol=1e-6, rtol=0)


def test_500_players_with_a_budget(wide):
    x, model = wide
    row, background = x[:1], x[1:2]
    game = il.tabular_game(model, row, background, target=1)
    assert game.n == 500
    raw = lambda d: model.predict_proba(d, raw_score=True)
    ends = game(torch.tensor([[True] * 500, [False] * 500]))
    assert abs(ends[0] - raw(row)[0]) < 1e-6 and abs(ends[1] - raw(background)[0]) < 1e-6
    s = il.sample(game, 500, progress=False)
    torch.testing.assert_close(s.values.reshape(-1)[:4].double(), by_hand(raw, row, background, game.players, s.masks[:4]), atol=1e-6, rtol=0)


# ---- the tables themselves

def test_tables_are_those_of_the_literature():
    adult, heart, titanic = (il.fetch_table(n, progress=False) for n in ("adult", "heart_disease", "titanic"))
    assert adult.x.shape == (32561, 12) and (adult.y == ">50K").sum() == 7841
    assert heart.x.shape == (303, 13) and (heart.y == "1").sum() == 139
    assert titanic.x.shape == (2201, 3) and (titanic.y == "yes").sum() == 711
    saved = titanic.y.eq("yes").groupby([titanic.x.status, titanic.x.sex], observed=True).mean()
    assert round(saved["first", "female"], 3) == .972 and round(saved["third", "male"], 3) == .173       # Dawson, 1995, Table 2
    assert adult.x.education.cat.ordered and not adult.x.workclass.cat.ordered


@pytest.mark.parametrize("text", ["", "a\tb\nc\td\n", "a\tb\nc\td\n\tclass\tx\n1\t2\n", "a\tb\nc\td\nclass\tclass\n1\t2\n"])
def test_other_files_are_refused(text):
    with pytest.raises(ValueError, match="text: begins"): read_tab(text)
