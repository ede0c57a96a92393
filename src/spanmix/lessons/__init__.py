"""The paper's five lessons as experiments: planned, run, judged by rules that were fixed before, reported."""
