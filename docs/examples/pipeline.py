"""A code as features of a classifier, in a scikit-learn pipeline."""

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from isthmus import Autoencoder, LinearAutoencoder

X, y = load_breast_cancer(return_X_y=True, as_frame=True)

for encoder in (LinearAutoencoder(latent=4), Autoencoder(latent=4, steps=1000, random_state=0)):
    model = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    accuracy = cross_val_score(model, X, y, cv=5)
    print(f"{type(encoder).__name__:<18} 4 numbers a row instead of 30: accuracy {accuracy.mean():.3f}")
