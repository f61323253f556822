"""File, environment and `--set` become settings; what is wrong is said with its place."""

import json
import os
from pathlib import Path

import pytest

from batchd.configuration import Loaded, api_key, base_url, load
from batchd.configuration.sources import find_file
from batchd.configuration.values import TYPES
from batchd.core.errors import ConfigError
from batchd.settings import OpenAI, Settings


def loading(tmp_path: Path, *sets: str, file: str | None = None, **environment: str) -> Loaded:
    """Load with a file of that content, those variables and those `--set`s."""
    config = None
    if file is not None:
        config = tmp_path / "batchd.toml"
        config.write_text(file)
    return load(config, sets, environment, tmp_path)


def refusal(tmp_path: Path, *sets: str, file: str | None = None, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loading(tmp_path, *sets, file=file, **environment)
    return str(caught.value)


# --- which file


def test_without_anything_the_defaults_hold_and_the_root_is_the_current_directory(tmp_path):
    loaded = load(None, [], {}, tmp_path)

    assert loaded.settings.folders.root == tmp_path
    assert loaded.settings.batches == Settings().batches
    assert loaded.source is None
    assert loaded.origins == {}


def test_the_file_is_the_named_one_else_the_environments_else_the_usual_ones(tmp_path):
    usual, etc, named = tmp_path / "config/batchd.toml", tmp_path / "etc.toml", tmp_path / "n.toml"
    usual.parent.mkdir()
    for file in (usual, etc, named):
        file.touch()

    def found(config=None, **environment):
        return find_file(config, environment=environment, cwd=tmp_path, etc=etc)

    assert found(Path("n.toml"), BATCHD_CONFIG="etc.toml") == named
    assert found(BATCHD_CONFIG="n.toml") == named
    assert found() == usual
    own = tmp_path / "home/.config/batchd/batchd.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    home = str(tmp_path / "home")
    assert found(HOME=home) == usual
    usual.unlink()
    assert found() == etc
    assert found(HOME=home) == own
    assert found(XDG_CONFIG_HOME=f"{home}/.config", HOME="/nowhere") == own
    assert found(XDG_CONFIG_HOME="relative", HOME="/nowhere") == etc
    etc.unlink()
    assert found() is None


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"--config gone\.toml: there is no such file"):
        load(Path("gone.toml"), [], {}, tmp_path)
    with pytest.raises(ConfigError, match=r"BATCHD_CONFIG=gone\.toml: there is no such file"):
        load(None, [], {"BATCHD_CONFIG": "gone.toml"}, tmp_path)


def test_a_file_below_the_current_directory_is_named_from_there(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "batchd.toml").write_text("[jobs]\nkeep_days = -1\n")

    with pytest.raises(ConfigError, match=r"^config/batchd\.toml, line 2: jobs\.keep_days"):
        load(None, [], {}, tmp_path)


# --- who is stronger


def test_set_is_stronger_than_the_environment_and_that_than_the_file(tmp_path):
    file = "[batches]\nmax_open = 1\nmax_requests = 1\nmax_bytes = 1\n"
    loaded = loading(
        tmp_path,
        "batches.max_open=3",
        file=file,
        BATCHD_BATCHES__MAX_OPEN="2",
        BATCHD_BATCHES__MAX_REQUESTS="2",
    )
    batches = loaded.settings.batches

    assert (batches.max_open, batches.max_requests, batches.max_bytes) == (3, 2, 1)
    assert loaded.origins == {
        "batches.max_open": "--set batches.max_open",
        "batches.max_requests": "BATCHD_BATCHES__MAX_REQUESTS",
        "batches.max_bytes": "batchd.toml, line 4",
    }


def test_of_two_sets_the_last_counts(tmp_path):
    loaded = loading(tmp_path, "batches.max_open=3", "batches.max_open=4")

    assert loaded.settings.batches.max_open == 4


def test_a_table_by_model_grows_from_all_places(tmp_path):
    loaded = loading(
        tmp_path,
        'batches.enqueued_tokens."gpt-4.1"=3',
        file='[batches.enqueued_tokens]\n"gpt-4.1" = 1\na = 1\n',
        BATCHD_BATCHES__ENQUEUED_TOKENS='{"gpt-4o-mini"=2}',
    )

    assert loaded.settings.batches.enqueued_tokens == {"gpt-4.1": 3, "a": 1, "gpt-4o-mini": 2}


def test_parameters_of_tasks_grow_in_depth(tmp_path):
    loaded = loading(
        tmp_path,
        "defaults.parameters.reasoning.effort=low",
        file="[defaults.parameters]\nseed = 1\n[defaults.parameters.reasoning]\nsummary = 'auto'\n",
        BATCHD_DEFAULTS__PARAMETERS='{seed = 2, tools = [{type = "web_search"}]}',
    )

    assert loaded.settings.defaults.parameters == {
        "seed": 2,
        "reasoning": {"summary": "auto", "effort": "low"},
        "tools": [{"type": "web_search"}],
    }


# --- how values are written


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("logging.level=debug", "logging.level", "debug"),
        ('logging.level="DEBUG"', "logging.level", "debug"),
        ("results.responses=false", "results.responses", False),
        ("batches.max_bytes=2e8", "batches.max_bytes", 200_000_000),
        ("batches.max_bytes=100_000", "batches.max_bytes", 100_000),
        ("inbox.settle_seconds=0", "inbox.settle_seconds", 0.0),
        ("inbox.settle_seconds = 1.5", "inbox.settle_seconds", 1.5),
        ('inbox.ignore=["*.bak"]', "inbox.ignore", ("*.bak",)),
        ('openai.endpoint_prefixes=["", "/v4"]', "openai.endpoint_prefixes", ("", "/v4")),
        ("folders.root=/srv/x", "folders.root", Path("/srv/x")),
        ("folders.root=/srv/a=b", "folders.root", Path("/srv/a=b")),
        ("openai.base_url=http://127.0.0.1:1/v1", "openai.base_url", "http://127.0.0.1:1/v1"),
        ("openai.base_url=", "openai.base_url", None),
        ("openai.completion_window=", "openai.completion_window", ""),
        ("openai.completion_window=7d", "openai.completion_window", "7d"),
        ("batches.enqueued_tokens.gpt-4o=7", "batches.enqueued_tokens", {"gpt-4o": 7}),
        ("defaults.model=gpt-5", "defaults.model", "gpt-5"),
        ("defaults.system=", "defaults.system", ""),
        ("defaults.endpoint=/v1/responses", "defaults.endpoint", "/v1/responses"),
        ("defaults.metadata.team=", "defaults.metadata", {"team": ""}),
        ("defaults.parameters.temperature=0.5", "defaults.parameters", {"temperature": 0.5}),
    ],
)
def test_a_set_is_read_as_it_is_meant(tmp_path, override, name, value):
    section, key = name.split(".")

    assert getattr(getattr(loading(tmp_path, override).settings, section), key) == value


def test_a_folder_that_looks_like_a_number_is_a_folder(tmp_path):
    assert loading(tmp_path, "folders.root=2026").settings.folders.root == tmp_path / "2026"


def test_relative_paths_count_from_the_current_directory_and_home_is_known(tmp_path):
    settings = loading(tmp_path, "folders.root=~/b", "openai.api_key_file=k").settings

    assert settings.folders.root == Path("~/b").expanduser()
    assert settings.openai.api_key_file == tmp_path / "k"


def test_a_variable_may_be_written_in_lower_case(tmp_path):
    assert loading(tmp_path, batchd_batches__max_open="7").settings.batches.max_open == 7


def test_other_programs_variables_are_left_alone(tmp_path):
    loading(tmp_path, BATCHD_SERVICE_HOST="10.0.0.1", BATCHD_PORT="tcp://10.0.0.1:80", BATCHD="1")


def test_a_second_line_in_a_variable_is_no_second_setting(tmp_path):
    said = refusal(tmp_path, BATCHD_BATCHES__MAX_OPEN="1\nmax_bytes = 2")

    assert said.startswith("BATCHD_BATCHES__MAX_OPEN: batches.max_open must be a whole number")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    assert loading(tmp_path, file="\ufeff[batches]\nmax_open = 3\n").settings.batches.max_open == 3


# --- what is refused, and in which words


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('max_open = "many"', 'batches.max_open must be a whole number of at least 1, not "many"'),
        ("max_open = 0", "batches.max_open must be a whole number of at least 1, not 0"),
        ("max_open = true", "batches.max_open must be a whole number of at least 1, not true"),
        ("max_open = {a=1}", "batches.max_open is one value, not a table"),
        ("poll_min_seconds = 0", "batches.poll_min_seconds must be a number above 0"),
        ("doubt_seconds = -1", "batches.doubt_seconds must be a number from 0"),
        ("doubt_seconds = inf", "batches.doubt_seconds must be a number from 0"),
        ("doubt_seconds = nan", "batches.doubt_seconds must be a number from 0"),
        ("enqueued_tokens = 5", "batches.enqueued_tokens must be a table by model"),
        ('enqueued_tokens = {"a" = -1}', 'batches.enqueued_tokens."a" must be a whole number'),
        ("enqueued_tokens.gpt-4.1 = 5", 'a name with a dot needs quotes: "gpt-4.1"'),
        ("[defaults]\nmetadata.team = 5", 'defaults.metadata."team" must be a text in quotes'),
        (
            "[defaults]\nparameters = 5",
            "defaults.parameters must be a table by name, such as {temp",
        ),
        ('[defaults]\nendpoint = "/v1/videos"', "defaults.endpoint must be one of /v1/chat/comp"),
        ("[defaults]\nprompt = 5", "there is no setting defaults.prompt; "),
        ("max_opne = 5", "there is no setting batches.max_opne; did you mean batches.max_open?"),
        ("max-open = 5", "there is no setting batches.max-open; did you mean batches.max_open?"),
        ("keep_days = 5", "there is no setting batches.keep_days; did you mean jobs.keep_days?"),
        ("colour = 5", "there is no setting batches.colour; config/batchd.toml explains all"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_write_instead(tmp_path, line, said):
    problem = refusal(tmp_path, file=f"# a comment\n[batches]\n\n{line}\n")

    assert problem.startswith(f"batchd.toml, line {5 if line.startswith('[') else 4}: ")
    assert said in problem


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            "[batchs]\na = 1\nb = 2\n",
            "line 1: there is no section [batchs]; did you mean [batches]?",
        ),
        ("[zzz]\n", "line 1: there is no section [zzz]; there are folders, inbox"),
        ("max_open = 1\n", "line 1: there is no setting max_open; did you mean batches.max_open?"),
        ("batches = 1\n", "line 1: batches is a section, not a setting"),
        ("[openai]\napi_key = 'sk-1'\n", "line 2: there is no setting openai.api_key; a key does"),
        ("[logging]\nlevel = 'all'\n", "must be one of debug, info, warning, error, not"),
        ("[logging]\nformat = 1\n", "must be one of auto, console, json, not 1"),
        ("[openai]\nbase_url = 'localhost:1'\n", "must be an address such as"),
        ("[inbox]\ndone_suffix = '.jsonl'\n", "must be the end of a name that is not taken itself"),
        ("[inbox]\ndone_suffix = '/done'\n", "must be the end of a name"),
        ("[notify]\non_complete = 'notify-send done'\n", 'a command in words, such as ["notify'),
        ("[notify]\non_reject = ['https://example.com', 'x']\n", 'or ["https://..."]'),
        ("[notify]\non_problem = ['']\n", "must be a command in words"),
        ("[notify]\nheartbeat_url = 'hc-ping.com'\n", "must be an address such as"),
        ("[webhooks]\nlisten = '8090'\n", 'such as "127.0.0.1:8090"'),
        ("[webhooks]\nlisten = '127.0.0.1:80900'\n", "must be an address and a port"),
        (
            "[webhooks]\nlisten = '127.0.0.1:8090'\n",
            "webhooks.listen (batchd.toml, line 2) needs webhooks.secret_file",
        ),
        ("[inbox]\ndone_suffix = ''\n", "must be the end of a name"),
        ("[folders]\nroot = ''\n", "folders.root must be a path"),
        ("[folders]\nroot = '~no-such-user-here/x'\n", "folders.root must be a path"),
        ("[openai]\ncompletion_window = 24\n", 'must be a text in quotes, such as "24h"'),
        ("[openai]\nendpoint_prefixes = []\n", "must be a list of beginnings, such as"),
        ('[openai]\nendpoint_prefixes = ["v1/"]\n', "must be a list of beginnings, such as"),
        ("[inbox]\nignore = '*.bak'\n", 'inbox.ignore must be a list of texts, such as ["*.bak"]'),
        ("[jobs]\nkeep_days =\n", "line 2, column 12: not valid TOML: invalid value"),
        ("[logging]\nlevel = info\n", "line 2, column 12: not valid TOML"),
        ("[logging]\nlevel = debug\n", "invalid value; a text needs quotes"),
        ("[logging", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, file, said):
    assert said in refusal(tmp_path, file=file)


def test_a_file_that_is_not_utf8_says_so(tmp_path):
    file = tmp_path / "latin.toml"
    file.write_bytes(b"# f\xfcr uns\n")

    with pytest.raises(ConfigError, match="byte 4 is not UTF-8"):
        load(file, [], {}, tmp_path)


def test_a_folder_in_place_of_the_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, [], {}, tmp_path)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("batches.max_open", "--set batches.max_open: must be section.key=value, such as"),
        ("=1", "--set =1: must be section.key=value"),
        ("a b=1", "--set a b=1: must be section.key=value"),
        ("batches.max_opne=1", "--set batches.max_opne: there is no setting batches.max_opne; did"),
        ("max_open=1", "--set max_open: there is no setting max_open; did you mean batches.max_o"),
        ("openai.api_key_file=sk-12345678", "this looks like the key itself"),
    ],
)
def test_a_wrong_set_is_named(tmp_path, override, said):
    assert said in refusal(tmp_path, override)


def test_a_key_that_is_set_as_a_setting_is_not_repeated(tmp_path):
    assert "sk-12345678" not in refusal(tmp_path, "openai.api_key=sk-12345678")
    assert "sk-12345678" not in refusal(tmp_path, "openai.api_key_file=sk-12345678")


def test_a_variable_with_one_underscore_too_few_is_a_slip(tmp_path):
    said = refusal(tmp_path, BATCHD_BATCHES_MAX_OPEN="1")

    assert said.startswith("BATCHD_BATCHES_MAX_OPEN: ")
    assert said.endswith("did you mean batches.max_open?")


def test_values_that_do_not_go_together_are_refused_with_both_places(tmp_path):
    said = refusal(tmp_path, "batches.poll_max_seconds=3")

    assert said == (
        "batches.poll_max_seconds (3, --set batches.poll_max_seconds) must not be less than "
        "batches.poll_min_seconds (15, the default)"
    )


@pytest.mark.parametrize(
    ("override", "here", "missing"),
    [
        ('prices.input={"mine" = 0.1}', "input", "output"),
        ('prices.output={"mine" = 0.1}', "output", "input"),
    ],
)
def test_half_a_price_is_none(tmp_path, override: str, here: str, missing: str):
    assert refusal(tmp_path, override) == (
        f'prices.{here} names "mine" (--set prices.{here}), and prices.{missing} does not:'
        " a model needs its input and its output price"
    )


def test_a_cached_price_alone_lacks_both_others(tmp_path):
    said = refusal(tmp_path, 'prices.cached={"mine" = 0.1}')
    assert said.count('prices.cached names "mine"') == 2


def test_all_problems_are_said_at_once(tmp_path):
    said = refusal(
        tmp_path,
        "batches.max_open=0",
        file="[jobs]\nkeep_days = -1\n[retrys]\n",
        BATCHD_DAEMON__GRACE_SECONDS="long",
    )

    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "batchd.toml, line 2",
        "batchd.toml, line 3",
        "BATCHD_DAEMON__GRACE_SECONDS",
        "--set batches.max_open",
    ]


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_setting_has_a_type_that_can_be_checked(tmp_path, name):
    section, key = name.split(".")

    assert " must be " in refusal(tmp_path, file=f"[{section}]\n{key} = 1979-05-27\n")


# --- the key and the address


def settings_with(**openai) -> Settings:
    return Settings(openai=OpenAI(**openai))


def test_the_key_is_systemds_credential_else_the_file_else_the_environment(tmp_path):
    credentials, file = tmp_path / "credentials", tmp_path / "key"
    credentials.mkdir()
    credential = credentials / "openai-api-key"
    credential.write_text("sk-credential\n")
    file.write_text("  sk-file\n")
    environment = {"CREDENTIALS_DIRECTORY": str(credentials), "OPENAI_API_KEY": "sk-environment"}

    assert api_key(settings_with(api_key_file=file), environment) == "sk-credential"
    credential.unlink()
    assert api_key(settings_with(api_key_file=file), environment) == "sk-file"
    assert api_key(Settings(), environment) == "sk-environment"


@pytest.mark.parametrize("environment", [{}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}])
def test_no_key_says_how_to_give_one(environment):
    with pytest.raises(ConfigError, match="there is no API key: export OPENAI_API_KEY=… or set"):
        api_key(Settings(), environment)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"OPENAI_API_KEY = sk-1", "must hold the key and nothing else"),
        ("sk-ä".encode(), "must hold the key and nothing else"),
        (b"\xff\xfe\x00", "something binary"),
    ],
)
def test_a_key_file_of_no_use_is_an_error_and_no_reason_to_look_further(tmp_path, content, said):
    file = tmp_path / "key"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=said) as caught:
        api_key(settings_with(api_key_file=file), {"OPENAI_API_KEY": "sk-another-project"})
    assert "batchd demo" in str(caught.value)


def test_a_key_file_that_is_missing_or_closed_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file"):
        api_key(settings_with(api_key_file=tmp_path / "gone"), {"OPENAI_API_KEY": "sk-1"})
    closed = tmp_path / "closed"
    closed.write_text("sk-1")
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(ConfigError, match=r"cannot be read \(Permission denied"):
        api_key(settings_with(api_key_file=closed), {})


def test_the_address_is_the_setting_else_the_environments_else_the_sdks():
    environment = {"OPENAI_BASE_URL": "http://a/v1"}

    assert base_url(settings_with(base_url="http://b/v1"), environment) == "http://b/v1"
    assert base_url(Settings(), environment) == "http://a/v1"
    assert base_url(Settings(), {"OPENAI_BASE_URL": " "}) is None
    assert base_url(Settings(), {}) is None


def test_an_address_without_a_scheme_in_the_environment_is_refused():
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL must begin with http"):
        base_url(Settings(), {"OPENAI_BASE_URL": "localhost:8000"})


def test_a_whole_number_that_switches_something_off_may_be_zero(tmp_path):
    loaded = load(None, ["folders.min_free_bytes=0"], {}, tmp_path)
    assert loaded.settings.folders.min_free_bytes == 0
    with pytest.raises(ConfigError, match="0 or more"):
        load(None, ["folders.min_free_bytes=-1"], {}, tmp_path)


@pytest.mark.parametrize("words", [["/usr/bin/notify", "--done"], ["https://a.example/b?c=d"], []])
def test_who_is_told_is_a_command_in_words_or_one_address(tmp_path, words):
    loaded = loading(tmp_path, f"notify.on_complete={json.dumps(words)}")

    assert loaded.settings.notify.on_complete == tuple(words)


def test_an_address_to_listen_on_comes_with_a_secret(tmp_path):
    given = ("webhooks.listen='[::1]:8090'", "webhooks.secret_file=secret")
    webhooks = loading(tmp_path, *given).settings.webhooks

    assert (webhooks.listen, webhooks.secret_file) == ("[::1]:8090", tmp_path / "secret")


def test_something_must_be_included_and_no_done_file(tmp_path):
    with pytest.raises(ConfigError, match="at least one pattern"):
        load(None, ["inbox.include=[]"], {}, tmp_path)
    asked = ['inbox.include=["*"]', 'inbox.done_file="require"']
    with pytest.raises(ConfigError, match="would take done files"):
        load(None, asked, {}, tmp_path)
    settings = load(None, ['inbox.include=["*.txt"]'], {}, tmp_path).settings
    assert settings.inbox.include == ("*.txt",)
