"""How a run is trained: the store of runs, the loop, several processes, the quickest way on a GPU."""
