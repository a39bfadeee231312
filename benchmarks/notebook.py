"""The notebook's cells that take time, on float64 as there; below them, what stages answer them.

``python -m benchmarks --full`` runs them one by one: a cell begins at its name. A stage that
answers several is named with the first ones.
"""

import numpy as np
from scipy.ndimage import shift
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, X_test = (
    np.load(f"data/{part}/images.npy").reshape(-1, 784).astype(float) for part in ("train", "test")
)
y = np.load("data/train/labels.npy")
y_5 = y == 5
sgd = SGDClassifier(max_iter=1000, tol=1e-3, random_state=42)

# In 10 | SGD detector
sgd.fit(X, y_5)
# In 12 | its shuffled folds
shuffled = StratifiedKFold(n_splits=3, shuffle=True, random_state=42)
cross_val_score(sgd, X, y_5, cv=shuffled)
# In 13 | its folds
cross_val_score(sgd, X, y_5, cv=3)
# In 16 | its predictions
cross_val_predict(sgd, X, y_5, cv=3)
# In 24 | its scores
cross_val_predict(sgd, X, y_5, cv=3, method="decision_function")
# = label fit@binary_sgd fit@binary_sgd_shuffled

# In 36 | forest detector
forest = RandomForestClassifier(random_state=42)
cross_val_predict(forest, X, y_5, cv=3, method="predict_proba")
# = fit@binary_forest

# In 40 | SVC
SVC().fit(X, y)
# = fit@digits_svc

# In 46 | one-vs-rest SVC
OneVsRestClassifier(SVC()).fit(X, y)
# = fit@digits_ovr_svc

# In 48 | ten-class SGD
sgd.fit(X, y)
# In 50 | its folds
cross_val_score(sgd, X, y, cv=3)
# = fit@digits_sgd

# In 51 | its folds, scaled
scaled = StandardScaler().fit_transform(X)
cross_val_score(sgd, scaled, y, cv=3)
# In 52 | its predictions, scaled
cross_val_predict(sgd, scaled, y, cv=3)
# = fit@digits_sgd_scaled

# In 61-64 | multilabel kNN
cross_val_predict(KNeighborsClassifier(), X, np.c_[y >= 7, y % 2 == 1], cv=3)
# = find_neighbors@train_in_train evaluate_multilabel

# In 67-70 | denoising kNN
# The notebook cleans one digit, the pipeline all of the test set.
random = np.random.RandomState(42)
noisy, noisy_test = (of + random.randint(0, 100, of.shape) for of in (X, X_test))
KNeighborsClassifier().fit(noisy, X).predict(noisy_test[:1])
# = denoise

# Exercise 1 | kNN grid
candidates = {"weights": ["uniform", "distance"], "n_neighbors": [3, 4, 5]}
GridSearchCV(KNeighborsClassifier(), candidates, cv=5).fit(X, y).predict(X_test)
# = find_neighbors@test_in_train

# Exercise 2 | kNN on shifted images
moved = [
    np.array([shift(image.reshape(28, 28), step, cval=0).ravel() for image in X])
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0))
]
classifier = KNeighborsClassifier(n_neighbors=4, weights="distance")
classifier.fit(np.concatenate([X, *moved]), np.tile(y, 5)).predict(X_test)
# = augment find_neighbors@test_in_augmented search_grid
