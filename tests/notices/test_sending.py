"""Who is told, and that whatever goes wrong is one line of the log."""

from __future__ import annotations

from structlog.testing import capture_logs

from batchd.notices.notice import Kind, of_problem
from batchd.notices.sending import Sender, wanted
from batchd.settings import Notify
from tests.houses import open_services
from tests.notices.receiver import receiving

NOTICE = of_problem("stuck", "it is", jobs=["0tr1c0"], at=1.0, root="r")


def test_each_kind_has_its_setting():
    notify = Notify(on_complete=("a",), on_reject=("b",), on_problem=("c",))
    assert [wanted(notify, kind) for kind in Kind] == [("a",), ("b",), ("c",)]


async def test_a_command_is_run_with_what_it_is_told_and_without_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    script = 'echo "$BATCHD_NOTICE $BATCHD_REASON $BATCHD_TEXT [$MY_KEY]"'
    async with open_services(tmp_path, notify={"on_problem": ["sh", "-c", script]}) as services:
        with capture_logs() as lines:
            outcome = await Sender(services, secrets=("sk-very-secret",)).send(NOTICE)
    assert outcome.output == "problem stuck it is []\n"
    (line,) = lines
    assert (line["event"], line["log_level"], line["job"]) == ("notice.sent", "info", "0tr1c0")
    assert line["output"] == outcome.output


async def test_an_address_is_posted_to_and_signed(tmp_path):
    (tmp_path / "secret").write_text("a word\n")
    async with receiving() as receiver:
        notify = {"on_problem": [receiver.address], "webhook_secret_file": str(tmp_path / "secret")}
        async with open_services(tmp_path / "root", notify=notify) as services:
            assert (await Sender(services, secrets=()).send(NOTICE)).is_given
    assert "webhook-signature" in receiver.calls[0][1]


async def test_what_goes_wrong_is_a_warning(tmp_path):
    for notify in (
        {"on_problem": ["/nowhere/at/all"]},
        {"on_problem": ["http://x"], "webhook_secret_file": str(tmp_path / "gone")},
    ):
        async with open_services(tmp_path / "root", notify=notify) as services:
            with capture_logs() as lines:
                assert not (await Sender(services, secrets=()).send(NOTICE)).is_given
        assert [(line["event"], line["log_level"]) for line in lines] == [
            ("notice.failed", "warning")
        ]


async def test_what_nobody_wants_any_more_is_not_told(tmp_path):
    async with open_services(tmp_path) as services:
        assert (await Sender(services, secrets=()).send(NOTICE)).text == "nobody wants to know"
