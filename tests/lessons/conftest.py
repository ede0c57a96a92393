"""What the tests of the lessons share: a suite of a few steps, and records that were made up."""

import pytest

SCALE = """
about: a few steps
seeds: [1, 2]
arms: [causal, mixture, twice]
margin: 0.05
margin_reason: For the tests.
sweep: {rates: [1.0e-3, 3.0e-3], steps_share: 0.5, arm: mixture}
measuring:
  file_tokens: 96
  source_tokens: 400
  context_tokens: 64
  single_line_spans: 6
  multi_line_spans: 4
  curve_points: 2
  curve_file_tokens: 48
  curve_files: 2
recipe:
  corpus: {path: corpus}
  tokenizer: {vocab_size: 512, num_sentinels: 16}
  model: {preset: tiny}
  data:
    row_tokens: 64
    global_batch_rows: 2
    window_documents: 8
    sources: [{name: code, weight: 0.5}, {name: prose, weight: 0.5}]
  optimizer: {learning_rate: 1.0e-3}
  schedule: {warmup_steps: 1}
  run: {seed: 1, num_steps: 6, save_every_steps: 2, log_every_steps: 1, num_threads: 1}
"""
ARMS = """
causal:
  about: next-token prediction
  recipe: {objectives: [{name: causal, weight: 1}]}
mixture:
  about: half infill
  recipe: {objectives: [{name: causal, weight: 1}, {name: infill, weight: 1, max_spans: 4}]}
twice:
  about: half of the tokens, twice
  unique_share: 0.5
  recipe: {objectives: [{name: causal, weight: 1}, {name: infill, weight: 1, max_spans: 4}]}
"""
FIRST = """
number: 1
title: Infill
question: Does infill cost anything?
found: [{text: "It does.", source: nowhere}]
measured: Bits.
claims:
  - {name: cost, text: Infill costs., effect: {mixture: 1, causal: -1}, endpoint: code, side: greater}
  - name: gain
    text: Infill gains.
    effect: {mixture: 1, causal: -1}
    endpoint: middle
    side: less
    basis: own
plot: exchange
plotted: [causal, mixture, twice]
"""
SECOND = """
number: 2
title: Epochs
question: Do epochs cost anything?
found: [{text: "They do not.", source: nowhere}]
measured: Bits.
claims:
  - {name: twice, text: No., effect: {twice: 1, mixture: -1}, endpoint: code, side: less, margins: 1}
plot: curves
plotted: [mixture, twice]
"""


@pytest.fixture(scope="session")
def suite_folder(tmp_path_factory):
    """A suite of two lessons, three arms and two seeds."""
    folder = tmp_path_factory.mktemp("suite")
    for name, lesson in (("one", FIRST), ("two", SECOND), ("scales", "")):
        (folder / name).mkdir()
        if lesson:
            (folder / name / "lesson.yaml").write_text(lesson)
    (folder / "one" / "arms.yaml").write_text(ARMS)
    (folder / "scales" / "toy.yaml").write_text(SCALE)
    return folder


@pytest.fixture
def suite(suite_folder):
    """The suite of `suite_folder`."""
    from spanmix.lessons.suite import load_suite

    return load_suite(suite_folder)


@pytest.fixture
def made_up():
    """Writes records of runs whose bits are what a function says, with keys that belong to the suite."""
    import itertools

    import numpy as np

    from spanmix.lessons.configurations import (
        main_configuration,
        sweep_configurations,
        understanding_key,
    )
    from spanmix.lessons.measure import FileBits, MiddleBits
    from spanmix.lessons.records import RunRecord, TaskRecord, write_record

    def write(suite, scale, folder, bits, arms=None, seeds=None, num_files=20, corpus="c" * 64):
        """`bits(arm, seed, endpoint)` is an array of one number for each file, of 1,000 bytes each."""

        def record(configuration, seed, files, middles):
            return RunRecord(
                scale=scale.name,
                arm=configuration.arm,
                kind=configuration.kind,
                key=configuration.key(corpus, scale.measuring),
                seed=seed,
                corpus=corpus,
                learning_rate=configuration.learning_rate,
                steps=configuration.recipe.run.num_steps,
                positions=configuration.num_positions,
                tokens=configuration.num_positions // 2,
                flops=10**12,
                parameters=10**6,
                epochs={"code": 1.0, "prose": 1.0},
                held_out=files,
                middles=middles,
                curve=[
                    {"step": 1, "tokens": 5, "code": 3.0, "prose": 3.0},
                    {"step": 2, "tokens": 9, "code": 2.0, "prose": 2.0},
                ],
                seconds={"train": 8.0, "measure": 2.0},
                machine={"torch": "2", "system": "made up"},
            )

        numbers, sizes = tuple(range(num_files)), (1000,) * num_files

        def of(arm, seed):
            files = {
                name: FileBits(numbers, sizes, tuple(np.asarray(bits(arm, seed, name)).tolist()))
                for name in ("code", "prose")
            }
            middle = tuple(np.asarray(bits(arm, seed, "middle")).tolist())
            middles = {
                kind: MiddleBits(numbers, sizes, middle, middle) for kind in ("single_line", "multi_line")
            }
            return files, middles

        trials = sweep_configurations(suite, scale)
        for configuration in trials:
            write_record(
                folder, record(configuration, scale.seeds[0], *of(configuration.arm, scale.seeds[0]))
            )
        rate = trials[0].learning_rate if trials else scale.recipe["optimizer"]["learning_rate"]
        for arm in scale.arms if arms is None else arms:
            for seed in scale.seeds if seeds is None else seeds:
                configuration = main_configuration(suite, scale, arm, rate)
                write_record(folder, record(configuration, seed, *of(arm, seed)))

        asked = scale.understanding
        for arm in asked.arms if asked and arms is None else ():
            run_key = main_configuration(suite, scale, arm, rate).key(corpus, scale.measuring)
            for task, seen, seed in itertools.product(asked.tasks, asked.representations, scale.seeds):
                key = understanding_key(run_key, asked, task, seen)
                groups = (tuple(range(9)), (10,) * 9, (4 + seed % 3,) * 9)
                shares = (0.5, 0.5, 0.6, 9.0)
                write_record(
                    folder,
                    TaskRecord(scale.name, arm, key, run_key, seed, corpus, task, seen, *groups, *shares),
                )

    return write
