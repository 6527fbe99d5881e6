"""Use-cases on the control log: who may what, decided by facts that every process folds into the same state."""
