"""What a network is worth: scores, other protocols, photographs without ground truth, cost."""
