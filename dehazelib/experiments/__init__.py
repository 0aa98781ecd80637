"""What is to be run: settings of a study, specifications of runs, and the plan that lists them."""
