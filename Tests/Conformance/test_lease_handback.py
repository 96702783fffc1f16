"""Remaining times of leases: kept across stops of the member under test, and never seen by etcd, which misreads them."""

import time

from harness.client import message
from harness.daemon import etcd, quorate

TTL = 1000


def remaining(daemon, lease=7):
    return daemon.client.lease(lease)["ttl"]


def spend(member):
    """A lease of which some seconds have passed, checkpointed by a restart in good order."""
    member.client.grant(TTL, 7)
    member.client.put(b"leased", b"1", lease=7)
    time.sleep(3)
    assert member.stop() == 0
    member.start()
    assert TTL - 20 < remaining(member) <= TTL - 3


def test_etcd_takes_over_with_whole_times(daemons, reference):
    spent = daemons(quorate("3.5"), "member").start()
    spend(spent)
    assert spent.stop() == 0
    spent.become(etcd(reference)).start()
    assert TTL - 1 <= remaining(spent) <= TTL + 2
    # A lease renewed on a Go member that misread a checkpoint would get the stale remaining time.
    spent.client.call("Lease/LeaseGrant", message((1, TTL), (2, 8)))
    spent.client.put(b"leased", b"2", lease=7)
    time.sleep(2)
    assert TTL - 4 <= remaining(spent) <= TTL
    assert "panic" not in spent.log_text()
    spent.become(quorate("3.5")).start()
    # etcd wrote in between: what was left at our stop does not count any more.
    assert remaining(spent) > TTL - 2
    assert spent.client.lease(7)["keys"] == [b"leased"]


def test_a_crash_after_the_restart_keeps_them(daemons):
    """From 3.6 on remaining times are stored; they are written down again right after a start."""
    member = daemons(quorate("3.6"), "member").start()
    spend(member)
    member.kill()
    member.start()
    assert TTL - 30 < remaining(member) <= TTL - 3
