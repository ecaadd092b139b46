"""Orders on paper: bills, the lowering clock, refusals, and who would run."""
