"""Law 8: a run says which source reached its cap, and which weights apply from there, once, also when "
"resumed."""

import itertools

from spanmix.data.build import open_loader
from spanmix.train.events import EventLog, read_events
from spanmix.train.mixture_watch import MixtureWatch


def test_the_end_of_a_source_is_recorded_once(corpus_folder, tmp_path):
    fields = [f"corpus.path={corpus_folder}", "data.row_tokens=256", "objectives.1.max_spans=4"]
    loader = open_loader("demo", [*fields, "data.sources.1.max_epochs=1", "data.window_documents=8"])
    warned: list[str] = []
    events = EventLog(tmp_path, 0, warned.append)
    watch = MixtureWatch(loader, loader.start(), events)
    states = [state for _, state in itertools.islice(loader.batches(loader.start(), 8), 60)]
    for step, state in enumerate(states, start=1):
        watch.update(step, state)
    [event] = read_events(tmp_path / "events.jsonl")
    assert event.kind == "source_ended" and [event.text] == warned
    assert "prose has been read 1 time" in event.text and "shares are code 1.0000" in event.text
    # A run that goes on from before it says it again, and one from behind it does not.
    for step, expected in ((event.step - 1, 1), (event.step, 1)):
        again = EventLog(tmp_path, step, warned.append)
        watch = MixtureWatch(loader, states[step - 1], again)
        for later, state in enumerate(states[step:], start=step + 1):
            watch.update(later, state)
        assert len(read_events(tmp_path / "events.jsonl")) == expected
