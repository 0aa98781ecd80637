"""The paper's idea: feature affinity between a frozen teacher and a student, and the losses trained with."""
