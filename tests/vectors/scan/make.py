"""Made ``files/`` once, with the frameworks; they are too large for the tests.

scikit-learn 1.9.1 and joblib 1.6.0, xgboost 3, lightgbm 4.7.0, keras 3.15.1 over jax (the last two
models over torch), onnx 1.23.2, torch 2, NumPy 2.4.6. Run it in an empty folder, in an environment
that has them.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"

import pickle  # noqa: TID251 -- frameworks save so
from pathlib import Path

import joblib
import keras
import lightgbm
import numpy as np
import onnx
import scipy.sparse
import torch
import xgboost
from onnx import TensorProto, helper, numpy_helper
from sklearn import calibration, ensemble, linear_model, neighbors, svm
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

TEXTS = np.array([["a", "x"], ["b", "y"], ["a", "y"]], dtype=object)
LABELS = [0, 1, 0]
INPUTS = np.random.default_rng(0).normal(size=(60, 4))
CLASSES = (INPUTS[:, 0] > 0).astype(int)


class Mine(torch.nn.Module):
    """A class that the other side does not have."""


def make_scikit_learn() -> None:
    logistic = linear_model.LogisticRegression()
    for estimator in (
        logistic,
        ensemble.RandomForestClassifier(5),
        ensemble.GradientBoostingClassifier(n_estimators=3),
        ensemble.HistGradientBoostingClassifier(max_iter=3),
        neighbors.KNeighborsClassifier(),
        linear_model.SGDClassifier(),
        calibration.CalibratedClassifierCV(logistic),
    ):
        joblib.dump(estimator.fit(INPUTS, CLASSES), f"{type(estimator).__name__}.joblib")
    search = GridSearchCV(logistic, {"C": [1, 2]}).fit(INPUTS, CLASSES)
    joblib.dump(search, "GridSearchCV.joblib.z", compress=3)
    with Path("SVC.pkl").open("wb") as stream:
        pickle.dump(svm.SVC().fit(INPUTS, CLASSES), stream)
    encoder = ColumnTransformer([("c", OneHotEncoder(), [0, 1])])
    joblib.dump(make_pipeline(encoder, logistic).fit(TEXTS, LABELS), "ColumnTransformer.joblib")
    joblib.dump(OneHotEncoder().fit(TEXTS), "OneHotEncoder.joblib")
    texts = make_pipeline(TfidfVectorizer(), logistic).fit(["aa bb", "cc dd", "aa cc"], LABELS)
    joblib.dump(texts, "TfidfVectorizer.joblib")
    scipy.sparse.save_npz("csr.npz", scipy.sparse.random(10, 10, 0.3, format="csr"))


def make_trees() -> None:
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(INPUTS, CLASSES), 3)
    booster.save_model("xgboost.ubj")
    booster.save_model("xgboost.json")
    with Path("xgboost.pkl").open("wb") as stream:
        pickle.dump(booster, stream)
    joblib.dump(xgboost.XGBClassifier(n_estimators=3).fit(INPUTS, CLASSES), "XGBClassifier.joblib")
    data = lightgbm.Dataset(INPUTS, CLASSES)
    lightgbm.train({"verbose": -1}, data, 3).save_model("lightgbm.txt")


def make_keras() -> None:
    layers = [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.save("dense.keras")
    model.save("dense.h5")
    model.save_weights("dense.weights.h5")
    layers = [keras.Input((4,)), keras.layers.Lambda(lambda values: values * 2)]
    keras.Sequential(layers).save("lambda.keras")
    inputs = keras.Input((4,))
    two = [keras.layers.Dense(3, activation="relu")(inputs), keras.layers.Dense(3)(inputs)]
    model = keras.Model(inputs, keras.layers.Dropout(0.1)(keras.layers.Concatenate()(two)))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.zeros((8, 4)), np.zeros((8, 6)))
    model.save("functional.keras")
    inputs = keras.Input((5,), dtype="int32")
    values = keras.layers.Embedding(10, 4)(inputs)
    values = keras.layers.MultiHeadAttention(2, 2)(values, values)
    keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(values)).save("attention.keras")


def make_onnx() -> None:
    def describe(
        operator: str, domain: str, weights: list[TensorProto], count: int
    ) -> onnx.ModelProto:
        inputs = ["x", *(tensor.name for tensor in weights)]
        node = helper.make_node(operator, inputs, ["y"], domain=domain)
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [count]) for name in "xy"]
        return helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], weights))

    small = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    onnx.save(describe("Add", "", [small], 2), "add.onnx")
    onnx.save(describe("PyOp", "ai.onnx.contrib", [], 2), "pyop.onnx")
    large = numpy_helper.from_array(np.zeros(2000, dtype=np.float32), "w")
    model = describe("Add", "", [large], 2000)
    onnx.save(model, "external.onnx", save_as_external_data=True, location="ext.data")


def make_torch() -> None:
    linear = torch.nn.Linear
    model = torch.nn.Sequential(
        linear(4, 3), torch.nn.ReLU(), torch.nn.BatchNorm1d(3), linear(3, 1)
    )
    state = model.state_dict()
    torch.save(state, "state_dict.pt")
    torch.save(model, "sequential.pt")
    optimizer = torch.optim.Adam(model.parameters()).state_dict()
    torch.save({"model": state, "optimizer": optimizer, "epoch": 3}, "checkpoint.pt")
    torch.save(state, "before_1_6.pt", _use_new_zipfile_serialization=False)
    torch.jit.script(model).save("scripted.pt")
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save([torch.zeros(2, 2).to_sparse(), quantized], "sparse_and_quantized.pt")
    torch.save(torch.zeros(4, dtype=torch.float8_e4m3fn), "float8.pt")
    torch.save(Mine(), "own_class.pt")


if __name__ == "__main__":
    make_scikit_learn()
    make_trees()
    make_keras()
    make_onnx()
    make_torch()
