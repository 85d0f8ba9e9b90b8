"""What is computed from the tables: statistics, Pareto fronts, comparisons with controls."""
