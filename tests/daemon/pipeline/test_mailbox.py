"""Calls from one thread to another: order, errors, and callers that give up."""

from __future__ import annotations

import threading

import pytest

from ser_daemon.pipeline.mailbox import Mailbox
from ser_model.errors import SerError


def test_actions_run_in_order_on_the_owners_thread() -> None:
    mailbox, ran = Mailbox(), []
    futures = [mailbox.submit(lambda number=number: ran.append((number, threading.get_ident()))) for number in range(3)]
    assert ran == []
    mailbox.run_pending()
    assert ran == [(number, threading.get_ident()) for number in range(3)]
    assert all(future.done() for future in futures)


def test_a_call_whose_caller_gave_up_is_left_out_and_harms_nobody() -> None:
    mailbox, ran = Mailbox(), []
    given_up = mailbox.submit(lambda: ran.append("given up"))
    kept = mailbox.submit(lambda: ran.append("kept"))
    assert given_up.cancel()
    mailbox.run_pending()
    assert ran == ["kept"]
    assert kept.result(0) is None


def test_a_sentence_for_the_caller_reaches_only_the_caller() -> None:
    mailbox = Mailbox()

    def refuse() -> None:
        raise SerError("The file cannot be removed.")

    future = mailbox.submit(refuse)
    mailbox.run_pending()
    with pytest.raises(SerError, match="cannot be removed"):
        future.result(0)


def test_a_fault_of_the_program_reaches_the_caller_and_the_owner() -> None:
    mailbox = Mailbox()
    future = mailbox.submit(lambda: [][0])
    with pytest.raises(IndexError):
        mailbox.run_pending()
    assert isinstance(future.exception(0), IndexError)


def test_a_closed_mailbox_fails_what_is_queued_and_what_follows() -> None:
    mailbox = Mailbox()
    queued = mailbox.submit(lambda: None)
    mailbox.close()
    for future in (queued, mailbox.submit(lambda: None)):
        with pytest.raises(SerError, match="ending"):
            future.result(0)


def test_a_wait_ends_when_an_action_arrives() -> None:
    mailbox, ran = Mailbox(), []
    timer = threading.Timer(0.05, mailbox.submit, [lambda: ran.append(True)])
    timer.start()
    mailbox.wait(20)
    mailbox.run_pending()
    assert ran == [True]
    timer.join()
