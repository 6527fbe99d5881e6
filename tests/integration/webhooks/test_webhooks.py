"""Deliveries reach an agency's server: in order, signed, each at least once, whoever dies or hangs; and never after a stop."""

import asyncio
import random
import signal
from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from broker.cli.processes import Supervised
from broker.cli.stack import once_wanted
from broker.delivery.push_kinds import WEBHOOKS
from broker.delivery.push_subscriptions import Start
from broker.errors import AddressRefused, Conflict, NotFound
from broker.model.notice import NoticeReason
from broker.testing import wait_until
from tests.integration.webhooks.conftest import Agency, sending
from tests.integration.webhooks.receiver import OK, Receiver, listening, status
from tests.stage import Stage

pytestmark = pytest.mark.timeout(180)
PATIENCE = 60.0


async def received(receiver: Receiver, ids: list[str]) -> None:
    await wait_until(lambda: set(ids) <= set(receiver.ids), timeout=PATIENCE)


async def up_to_date(agency: Agency) -> None:
    async def nothing_left() -> bool:
        return (await agency.standing()).lag == 0

    await wait_until(nothing_left, timeout=PATIENCE)


async def test_deliveries_come_in_order_and_verify_and_the_standing_says_so(stage: Stage, agency: Agency) -> None:
    ids = await agency.deliver(40)
    async with listening() as receiver, sending(stage):
        await agency.subscribe(receiver)
        await received(receiver, ids)
        ids += await agency.deliver(5)
        await received(receiver, ids)
        assert [call["id"] for call in receiver.calls] == ids
        first = receiver.calls[0]
        assert (first["agreement"], first["kind"], first["agreementversion"]) == (agency.agreement, "changed", 1)
        assert first["data"]

        await up_to_date(agency)
        health = (await agency.standing()).health
        assert health.last_success is not None
        assert health.failures == 0


async def test_each_notice_is_told_once_with_what_it_says_whatever_lane_wrote_it_first(
    stage: Stage, agency: Agency
) -> None:
    async with listening() as receiver, sending(stage):
        await agency.subscribe(receiver)
        await agency.notify(2000, NoticeReason.OUTAGE, text="Onderhoud", begins="2026-12-01T20:00:00+00:00")
        await agency.notify(1000, NoticeReason.DEPRECATION, text="persoon.v1 stopt", ends="2027-06-30T00:00:00+00:00")
        ids = await agency.deliver(1)
        await received(receiver, ids)
        told = [call for call in receiver.calls if call["kind"] == "life-cycle"]
        assert [(call["reason"], call["epoch"], call["text"]) for call in told] == [
            ("OUTAGE", 2000, "Onderhoud"),
            ("DEPRECATION", 1000, "persoon.v1 stopt"),
        ]
        assert (told[0]["begins"], told[1]["ends"]) == ("2026-12-01T20:00:00+00:00", "2027-06-30T00:00:00+00:00")


async def test_a_new_subscription_can_begin_now(stage: Stage, agency: Agency) -> None:
    await agency.deliver(3)
    async with listening() as receiver, sending(stage):
        await agency.subscribe(receiver, Start.NOW)
        ids = await agency.deliver(2)
        await received(receiver, ids)
        assert receiver.ids == ids


async def test_what_a_receiver_that_was_down_missed_comes_later_in_order(stage: Stage, agency: Agency) -> None:
    async with listening() as receiver, sending(stage):
        await agency.subscribe(receiver)
        ids = await agency.deliver(3)
        await received(receiver, ids)
        await receiver.down()
        ids += await agency.deliver(3)

        async def failing() -> bool:
            health = (await agency.standing()).health
            return health.failure == "CONNECT_FAILED" and health.next_attempt is not None

        await wait_until(failing, timeout=PATIENCE)
        await receiver.up()
        await received(receiver, ids)
        assert receiver.ids == ids


async def test_a_call_that_fails_is_repeated_under_its_id_before_anything_else(stage: Stage, agency: Agency) -> None:
    answers = [OK, status(503, "Retry-After: 1"), status(400), OK]
    async with listening(answer=lambda number: dict(enumerate(answers, 1)).get(number, OK)) as receiver:
        async with sending(stage):
            await agency.subscribe(receiver)
            ids = await agency.deliver(3)
            await received(receiver, ids)
        assert [call["id"] for call in receiver.calls] == [ids[0], ids[1], ids[1], ids[1], ids[2]]
        assert receiver.calls[1] == receiver.calls[3]


async def test_receivers_that_hang_or_drip_delay_nobody_else(stage: Stage, agency: Agency, other: Agency) -> None:
    async with listening(answer=lambda _number: None) as hung, listening() as well, sending(stage):
        await agency.subscribe(hung)
        await agency.deliver(50)
        await wait_until(lambda: hung.calls, timeout=PATIENCE)
        await other.subscribe(well)
        ids = await other.deliver(50)
        await received(well, ids)
        assert len(set(hung.ids)) == 1, "a receiver that has not answered was called about more"

        async def given_up() -> bool:
            return (await agency.standing()).health.failure == "TIMED_OUT"

        await wait_until(given_up, timeout=PATIENCE)


async def test_a_good_answer_that_never_ends_is_cut_off(stage: Stage, agency: Agency) -> None:
    async with listening(drip=True) as receiver, sending(stage):
        await agency.subscribe(receiver)
        ids = await agency.deliver(2)
        await received(receiver, ids)


async def kills(stage: Stage, agency: Agency, number: int, seed: int) -> None:
    """Kill workers while they send; then everything has come, and no id twice with another body."""
    rng, ids = random.Random(seed), []
    async with listening() as receiver:
        await agency.subscribe(receiver)
        for _ in range(number):
            ids += await agency.deliver(20)
            async with stage.router(command="webhooks") as worker:
                seen = len(receiver.calls)
                await wait_until(lambda seen=seen: len(receiver.calls) > seen, timeout=PATIENCE, every=0.001)
                await asyncio.sleep(rng.random() * 0.05)
                worker.send(signal.SIGKILL)
                await worker.ended()
        async with stage.router(command="webhooks"):
            await received(receiver, ids)
        assert receiver.ids == ids
        bodies = {call["id"]: call for call in receiver.calls}
        assert all(bodies[call["id"]] == call for call in receiver.calls)
        print(f"{number} kills, {len(receiver.calls) - len(ids)} repeated of {len(ids)}")  # noqa: T201 - a figure, shown with -s


async def test_killed_workers_lose_nothing_and_repeat_under_the_same_id(stage: Stage, agency: Agency) -> None:
    await kills(stage, agency, 2, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_fifty_killed_workers_lose_nothing(stage: Stage, agency: Agency) -> None:
    await kills(stage, agency, 50, seed=2)


async def test_the_stack_starts_a_sender_when_an_agency_has_a_webhook(
    stage: Stage, agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    sender = Supervised(stage.command("webhooks"), stage.stack.home.logs / "sender.log")
    async with listening() as receiver, once_wanted(stage.stack.site.control, sender, WEBHOOKS):
        await asyncio.sleep(0)
        assert sender.pid is None, "there is nothing to send yet"
        await agency.subscribe(receiver)
        await received(receiver, await agency.deliver(1))
        pid = sender.pid
        assert pid is not None
    assert sender.pid is None


async def test_two_workers_share_subscriptions_and_do_not_both_send(
    stage: Stage, agency: Agency, other: Agency
) -> None:
    async with listening() as one, listening() as two, sending(stage), sending(stage):
        await agency.subscribe(one)
        await other.subscribe(two)
        first, second = await agency.deliver(30), await other.deliver(30)
        await received(one, first)
        await received(two, second)
        begun = len(one.calls), len(two.calls)
        first += await agency.deliver(30)
        second += await other.deliver(30)
        await received(one, first)
        await received(two, second)
        assert (len(one.calls) - begun[0], len(two.calls) - begun[1]) == (30, 30), "both sent the same"
        assert (one.ids, two.ids) == (first, second)


async def test_no_call_about_a_subject_begins_after_a_revocation_has_returned(
    stage: Stage, agency: Agency, other: Agency
) -> None:
    revoked, late = asyncio.Event(), []

    async def note() -> None:
        if revoked.is_set():
            late.append(receiver.calls[-1])
        await asyncio.sleep(0.02)

    async with listening(meanwhile=note) as receiver, sending(stage):
        await agency.subscribe(receiver)
        ids = await agency.deliver(500)
        await wait_until(lambda: len(receiver.calls) > 5, timeout=PATIENCE)
        await stage.stack.services.agreements.revoke(agency.agreement, "rijksregister")
        revoked.set()
        await wait_until(lambda: receiver.calls[-1].get("reason") == "REVOKED", timeout=PATIENCE)
        assert len(receiver.ids) < len(ids), "nothing waited: the test proves nothing"
        assert [call for call in late if call["kind"] != "life-cycle"] == []
        assert [call["kind"] for call in receiver.calls].count("life-cycle") == 1, (
            "one event per fact, whatever the lanes"
        )
        await up_to_date(agency)
    async with listening(port=receiver.port, secret=receiver.secret) as again, listening() as second, sending(stage):
        await other.subscribe(second)
        await received(second, await other.deliver(1))
        assert again.calls == [], "a worker that starts later tells it again"


async def test_a_suspension_holds_what_waits_and_tells_so_and_nothing_is_lost(stage: Stage, agency: Agency) -> None:
    async with listening(answer=lambda _number: status(503)) as receiver, sending(stage):
        await agency.subscribe(receiver)
        ids = await agency.deliver(3)
        await wait_until(lambda: receiver.calls, timeout=PATIENCE)
        agreements = stage.stack.services.agreements
        await agreements.suspend(agency.agreement, "rijksregister")
        receiver.answer = lambda _number: OK
        seen = len(receiver.calls)
        await wait_until(lambda: len(receiver.calls) > seen, timeout=PATIENCE)
        assert {(call["kind"], call.get("reason")) for call in receiver.calls[seen:]} == {("life-cycle", "SUSPENDED")}
        await agreements.resume(agency.agreement, "rijksregister")
        await received(receiver, ids)
        about_subjects = [call["id"] for call in receiver.calls if call["kind"] != "life-cycle"]
        assert list(dict.fromkeys(about_subjects)) == ids
        assert len({call["id"] for call in receiver.calls if call["kind"] == "life-cycle"}) == 1


async def test_an_amendment_that_narrows_takes_back_what_waits_and_the_stream_goes_on(
    stage: Stage, agency: Agency
) -> None:
    async with listening(answer=lambda _number: status(503)) as receiver, sending(stage):
        await agency.subscribe(receiver)
        await agency.deliver(5)
        await wait_until(lambda: receiver.calls, timeout=PATIENCE)
        document = dict(stage.stack.site.control.state.agreements[agency.agreement].document)
        fields = [each for each in document["fields"] if each["path"] != "naam.voornamen"]
        await stage.in_force(document | {"version": 2, "fields": fields})
        receiver.answer = lambda _number: OK
        seen, ids = len(receiver.calls), await agency.deliver(3, version=2)
        await received(receiver, ids)
        after = receiver.calls[seen:]
        assert [call["id"] for call in after if call["kind"] != "life-cycle"] == ids
        assert {call["reason"] for call in after if call["kind"] == "life-cycle"} == {"AMENDED"}
        assert not any("voornamen" in str(call["data"]) for call in after if "data" in call)
        assert await agency.suspended() is None


async def test_failing_too_long_suspends_and_resuming_goes_on_where_it_was(stage: Stage, agency: Agency) -> None:
    async with listening(answer=lambda _number: status(500)) as receiver, sending(stage, webhook_give_up_s=1):
        await agency.subscribe(receiver)
        ids = await agency.deliver(3)
        await wait_until(agency.suspended, timeout=PATIENCE)
        assert await agency.suspended() == "FAILING"
        assert [(event.type, event.reason) for event in (await agency.standing()).subscription.events] == [
            ("set", None), ("suspended", "FAILING"),
        ]  # fmt: skip
        receiver.answer = lambda _number: OK
        await agency.webhooks.resume(agency.agreement, agency.name, accept_loss=False)
        await received(receiver, ids)
        assert receiver.ids == ids
        with pytest.raises(Conflict):
            await agency.webhooks.resume(agency.agreement, agency.name, accept_loss=False)


async def test_gone_and_expired_positions_are_for_the_agency_to_decide(stage: Stage, agency: Agency) -> None:
    async with listening(answer=lambda _number: status(410)) as receiver, sending(stage):
        await agency.subscribe(receiver)
        await agency.deliver(3)
        await wait_until(agency.suspended, timeout=PATIENCE)
        assert await agency.suspended() == "GONE"
        await agency.empty()
        receiver.answer = lambda _number: OK
        seen, kept = len(receiver.calls), await agency.deliver(2)
        await agency.webhooks.resume(agency.agreement, agency.name, accept_loss=False)
        await wait_until(agency.suspended, timeout=PATIENCE)
        assert await agency.suspended() == "POSITION_EXPIRED"
        assert len(receiver.calls) == seen, "records were skipped in silence"
        with pytest.raises(Conflict, match="POSITION_EXPIRED"):
            await agency.webhooks.resume(agency.agreement, agency.name, accept_loss=False)
        await agency.webhooks.resume(agency.agreement, agency.name, accept_loss=True)
        await received(receiver, kept)


async def test_an_address_is_looked_at_again_at_every_send_and_no_redirect_is_followed(
    stage: Stage, agency: Agency
) -> None:
    async with listening() as elsewhere, listening() as receiver:
        receiver.answer = lambda _number: status(307, f"Location: {elsewhere.url}")
        await agency.subscribe(receiver)
        await agency.deliver(1)
        async with sending(stage, webhook_allow=""):

            async def refused() -> bool:
                return (await agency.standing()).health.failure == "ADDRESS_REFUSED"

            await wait_until(refused, timeout=PATIENCE)
            assert receiver.calls == []
        async with sending(stage):

            async def redirected() -> bool:
                return (await agency.standing()).health.failure == "REDIRECT_REFUSED"

            await wait_until(redirected, timeout=PATIENCE)
            assert elsewhere.paths == []
    for url in ("http://10.0.0.1/", "https://169.254.169.254/", "https://localhost/"):
        with pytest.raises(AddressRefused):
            await agency.webhooks.set(agency.agreement, agency.name, url)


async def test_a_secret_rotates_with_an_overlap_and_a_test_event_shows_it(stage: Stage, agency: Agency) -> None:
    async with listening() as receiver, sending(stage):
        await agency.subscribe(receiver)
        old = receiver.secret
        _, new = await agency.webhooks.rotate(agency.agreement, agency.name, timedelta(hours=1))
        for secret in (old, new):
            receiver.secret = secret
            assert (await agency.webhooks.test(agency.agreement, agency.name)).failure is None
        _, newest = await agency.webhooks.rotate(agency.agreement, agency.name, timedelta())
        receiver.secret = newest
        ids = await agency.deliver(1)
        await received(receiver, ids)
        assert receiver.calls[0]["type"].endswith("webhook.test")
        assert "data" not in receiver.calls[0]
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(b"{}", {"webhook-id": "x", "webhook-timestamp": "0", "webhook-signature": "v1,x"})


async def test_what_is_removed_is_called_no_more_and_another_registration_begins_anew(
    stage: Stage, agency: Agency
) -> None:
    async with listening() as receiver, sending(stage):
        await agency.subscribe(receiver)
        ids = await agency.deliver(2)
        await received(receiver, ids)
        old = receiver.secret
        await agency.webhooks.remove(agency.agreement, agency.name)
        ids += await agency.deliver(2)
        with pytest.raises(NotFound):
            await agency.standing()
        receiver.calls.clear()
        await agency.subscribe(receiver)
        assert receiver.secret != old
        await received(receiver, ids)
        assert receiver.ids == ids
