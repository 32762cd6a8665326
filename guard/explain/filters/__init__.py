"""Explanations of the scores of filters: by gradients, by leaving out, by Shapley values, and exact ones."""
