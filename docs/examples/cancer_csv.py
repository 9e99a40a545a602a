"""Write scikit-learn's breast cancer data as a CSV file: 569 rows, 30 numbers each, and the diagnosis in the column "target"."""

from sklearn.datasets import load_breast_cancer

load_breast_cancer(as_frame=True).frame.to_csv("cancer.csv", index=False)
