"""Train a classifier on the handwritten digits that ship inside scikit-learn, and say how good it is."""

from __future__ import annotations

import time

from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

EPOCHS = 12


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(images / 16, labels, test_size=0.25, random_state=7)
    model = MLPClassifier(hidden_layer_sizes=(64,), random_state=7)
    began = time.perf_counter()
    for epoch in range(1, EPOCHS + 1):
        for begin in range(0, len(train_x), 64):
            model.partial_fit(train_x[begin : begin + 64], train_y[begin : begin + 64], classes=range(10))
        print(f"epoch {epoch:2}  loss {model.loss_:.4f}", flush=True)
    accuracy = accuracy_score(test_y, model.predict(test_x))
    print(f"accuracy {accuracy:.4f} on {len(test_y)} unseen digits, {time.perf_counter() - began:.1f} s of training")


if __name__ == "__main__":
    main()
