"""What the system asks of a process is heard, however that was begun."""

import signal

import pytest

from spanmix.cli.signals import sigterm_interrupts


@pytest.mark.parametrize("of_ctrl_c", [signal.default_int_handler, signal.SIG_IGN], ids=["usual", "ignored"])
def test_sigterm_interrupts_whatever_ctrl_c_does(of_ctrl_c):
    before = signal.signal(signal.SIGINT, of_ctrl_c)
    of_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with sigterm_interrupts():
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGINT) is of_ctrl_c
        assert signal.getsignal(signal.SIGTERM) is of_sigterm
    finally:
        signal.signal(signal.SIGINT, before)
