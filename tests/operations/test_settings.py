"""Settings: where each value comes from, what is refused, and how the refusal reads."""

import pytest

from shared import settings
from shared.settings import BY_NAME, ROOT, SETTINGS, Address, SettingsError, load


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def toml(data_dir, text):
    data_dir.mkdir(exist_ok=True)
    path = data_dir / "maxiofs.toml"
    path.write_text(text)
    return path


def refused(flags=None, environ=None, file=None):
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, environ or {}, file)
    return "\n".join(caught.value.problems)


def test_defaults_are_those_of_the_readme():
    found = load({}, {})
    assert found.data_dir == ROOT / "data"
    assert (found.listen, found.console_listen) == (Address("127.0.0.1", 8080), Address("127.0.0.1", 8081))
    assert (found.region, found.domain, found.trusted_proxies, found.database_url) == ("us-east-1", [], [], "")
    assert (found.root_access_key, found.root_secret_key) == ("", "")
    assert found.processes >= 1 and found.presigned_v2 is True and found.log_format == "json"
    assert set(found.sources.values()) <= {"default"}


@pytest.mark.parametrize("with_flag, with_environ, with_file, expected, source", [
    (True, True, True, "flag-1", "flag"),
    (False, True, True, "environ-1", "environment"),
    (False, False, True, "file-1", "file"),
    (False, False, False, "us-east-1", "default"),
])
def test_flag_before_environment_before_file_before_default(data_dir, with_flag, with_environ, with_file, expected, source):
    if with_file:
        toml(data_dir, 'region = "file-1"')
    flags = {"data_dir": str(data_dir)} | ({"region": "flag-1"} if with_flag else {})
    found = load(flags, {"MAXIOFS_REGION": "environ-1"} if with_environ else {})
    assert found.region == expected
    assert found.sources.get("region", "default") == source


def test_empty_text_and_none_mean_not_given(data_dir):
    toml(data_dir, 'region = "file-1"\ndatabase_url = ""')
    found = load({"data_dir": str(data_dir), "region": None, "domain": ""}, {"MAXIOFS_REGION": "", "MAXIOFS_PUBLIC_URL": ""})
    assert (found.region, found.database_url, found.public_url) == ("file-1", "", "")


def test_a_named_file_is_read_instead_of_the_one_in_the_data_folder(data_dir, tmp_path):
    toml(data_dir, 'region = "not-this"')
    other = tmp_path / "other.toml"
    other.write_text(f'region = "this-one"\ndata_dir = "{data_dir}"')
    for found in (load({}, {"MAXIOFS_CONFIG": str(other)}), load({"config": str(other)}, {}), load({}, {}, other)):
        assert (found.region, found.data_dir, found.config) == ("this-one", data_dir, other)


def test_a_named_file_must_exist(tmp_path):
    assert "No such file" in refused({"config": str(tmp_path / "gone.toml")})


def test_toml_has_types(data_dir):
    toml(data_dir, 'domain = ["S3.example.com", "s3.local"]\nprocesses = 3\npresigned_v2 = false\nreserve_bytes = "2 GiB"')
    found = load({"data_dir": str(data_dir)}, {})
    assert found.domain == ["s3.example.com", "s3.local"]
    assert (found.processes, found.presigned_v2, found.reserve_bytes) == (3, False, 2 << 30)


@pytest.mark.parametrize("line, sentence", [
    ('regoin = "x"', "there is no setting regoin; did you mean region?"),
    ('region = ["x"]', "must be one plain value"),
    ("processes = 1.5", "must be one plain value"),
    ("processes = true", "must be a whole number"),
    ("[listen]\nport = 1", "must be one plain value"),
    ("region = ", "cannot be read"),
    ('data_dir = "/elsewhere"', "data_dir cannot be set here"),
    ('config = "/elsewhere"', "config cannot be set here"),
])
def test_a_wrong_line_in_the_file_names_file_and_line(data_dir, line, sentence):
    path = toml(data_dir, line)
    message = refused({"data_dir": str(data_dir)})
    assert sentence in message and str(path) in message


@pytest.mark.parametrize("name, nearest", [
    ("MAXIOFS_LISTN", "MAXIOFS_LISTEN"),
    ("MAXIOFS_DATADIR", "MAXIOFS_DATA_DIR"),
    ("MAXIOFS_ROOT_SECRET_KEY_FIL", "MAXIOFS_ROOT_SECRET_KEY_FILE"),
    ("MAXIOFS_DATABASE", "MAXIOFS_DATABASE_URL"),
    ("MAXIOFS_REGION_FILE", "MAXIOFS_REGION"),
])
def test_an_unknown_variable_is_an_error_that_names_the_nearest(name, nearest):
    assert f"{name}: there is no such setting; did you mean {nearest}?" in refused(environ={name: "x"})


def test_the_variables_of_kubernetes_are_ignored():
    load({}, {
        "MAXIOFS_PORT": "tcp://10.0.0.1:8080", "MAXIOFS_SERVICE_HOST": "10.0.0.1", "MAXIOFS_SERVICE_PORT": "8080",
        "MAXIOFS_SERVICE_PORT_S3": "8080", "MAXIOFS_PORT_8080_TCP": "tcp://10.0.0.1:8080", "MAXIOFS_PORT_8080_TCP_ADDR": "10.0.0.1",
        "MAXIOFS_CONSOLE_PORT": "tcp://10.0.0.1:8081", "MAXIOFS_CONSOLE_SERVICE_HOST": "10.0.0.1",
        "MAXIOFS_CONSOLE_PORT_8081_TCP_PROTO": "tcp", "PATH": "/bin", "OTHER": "",
    })


def test_a_port_variable_that_kubernetes_would_not_write_is_an_error():
    assert "MAXIOFS_CONSOLE_PORT" in refused(environ={"MAXIOFS_CONSOLE_PORT": "8081"})


def test_variables_of_minio_mean_the_same(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("minio-secret-0123\n")
    found = load({}, {"MINIO_ROOT_USER": "minio-root", "MINIO_ROOT_PASSWORD_FILE": str(secret), "MINIO_REGION": "eu-west-1",
                      "MINIO_DOMAIN": "s3.example.com", "MINIO_VOLUMES": "/data", "MINIO_PROMETHEUS_AUTH_TYPE": "public"})
    assert (found.root_access_key, found.root_secret_key, found.region) == ("minio-root", "minio-secret-0123", "eu-west-1")
    assert found.domain == ["s3.example.com"]
    assert found.sources["root_access_key"] == "environment (MINIO_ROOT_USER)"


@pytest.mark.parametrize("environ", [
    {"MAXIOFS_ROOT_ACCESS_KEY": "ours", "MAXIOFS_ROOT_SECRET_KEY": "our-secret-0123"},
    {"MINIO_ACCESS_KEY": "older", "MINIO_SECRET_KEY": "older-secret-0123", "MAXIOFS_ROOT_ACCESS_KEY": "ours",
     "MAXIOFS_ROOT_SECRET_KEY": "our-secret-0123"},
])
def test_our_own_variables_win_over_minios(environ):
    found = load({}, {"MINIO_ROOT_USER": "theirs", "MINIO_ROOT_PASSWORD": "their-secret-0123", **environ})
    assert (found.root_access_key, found.root_secret_key) == ("ours", "our-secret-0123")
    assert found.sources["root_access_key"] == "environment"


def test_the_newer_of_minios_variables_wins():
    found = load({}, {"MINIO_ROOT_USER": "newer", "MINIO_ROOT_PASSWORD": "newer-secret-0123", "MINIO_ACCESS_KEY": "older",
                      "MINIO_SECRET_KEY": "older-secret-0123"})
    assert found.root_access_key == "newer"


def test_secrets_can_be_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef\n")
    found = load({}, {"MAXIOFS_ROOT_ACCESS_KEY": "admin", "MAXIOFS_ROOT_SECRET_KEY_FILE": str(secret)})
    assert found.root_secret_key == "0123456789abcdef"
    assert found.sources["root_secret_key"] == "environment"


@pytest.mark.parametrize("environ, sentence", [
    ({"MAXIOFS_METRICS_TOKEN_FILE": "/nowhere/at/all"}, "cannot read /nowhere/at/all: No such file or directory"),
    ({"MAXIOFS_METRICS_TOKEN_FILE": "/dev/null"}, "/dev/null is empty"),
    ({"MAXIOFS_METRICS_TOKEN_FILE": "/dev/null", "MAXIOFS_METRICS_TOKEN": "x" * 8}, "MAXIOFS_METRICS_TOKEN is set too"),
    ({"MAXIOFS_ROOT_ACCESS_KEY": "admin"}, "set both or neither"),
    ({"MAXIOFS_ROOT_SECRET_KEY": "0123456789"}, "set both or neither"),
    ({"MAXIOFS_ROOT_ACCESS_KEY": "a/b", "MAXIOFS_ROOT_SECRET_KEY": "0123456789"}, "must be 3 to 128 letters"),
    ({"MAXIOFS_CONSOLE_LISTEN": "127.0.0.1:8080"}, "need two addresses"),
])
def test_what_does_not_fit_together_is_refused(environ, sentence):
    assert sentence in refused(environ=environ)


def test_a_refused_secret_is_not_repeated():
    message = refused(environ={"MAXIOFS_ROOT_SECRET_KEY": "has blank", "MAXIOFS_DATABASE_URL": "mysql://me:hidden-word@host/db"})
    assert "has blank" not in message and "hidden-word" not in message
    assert "must begin with sqlite:// or postgresql://" in message


def test_all_problems_are_told_at_once():
    assert len(refused({"listen": "x"}, {"MAXIOFS_NONSENSE": "1", "MAXIOFS_PROCESSES": "0"}).splitlines()) == 3


@pytest.mark.parametrize("text, address", [
    ("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:9000", ("::1", 9000)), ("[::]:0", ("::", 0)), (":8080", ("0.0.0.0", 8080)),
    ("localhost:1", ("localhost", 1)), ("s3.example.com:65535", ("s3.example.com", 65535)),
])
def test_addresses(text, address):
    assert settings.address(text) == Address(*address)
    assert settings.address(str(settings.address(text))) == Address(*address)


@pytest.mark.parametrize("text", ["", "8080", "127.0.0.1", "127.0.0.1:", "::1:8080", "[::1]", "[nope]:1", "a:65536", "a:-1", "a b:1",
                                  "http://127.0.0.1:8080", "127.0.0.1:８０"])
def test_wrong_addresses(text):
    with pytest.raises(ValueError):
        settings.address(text)


def test_an_address_for_everybody_is_reached_on_loopback():
    assert Address("0.0.0.0", 80).url == "http://127.0.0.1:80"
    assert Address("::", 80).url == "http://[::1]:80"


@pytest.mark.parametrize("name, good, value", [
    ("public_url", "https://s3.example.com/", "https://s3.example.com"),
    ("public_url", "http://[::1]:8080/prefix/", "http://[::1]:8080/prefix"),
    ("trusted_proxies", "10.0.0.1, 192.168.1.5/16,::1", ["10.0.0.1/32", "192.168.0.0/16", "::1/128"]),
    ("sweep_delay_s", "24h", 86400), ("sweep_delay_s", "90", 90), ("inline_bytes", "64KiB", 65536), ("inline_bytes", "0", 0),
    ("presigned_v2", "off", False), ("presigned_v2", "TRUE", True),
    ("queue_url", "redis://cache:6379/0", "redis://cache:6379/0"), ("master_key", "ab" * 32, "ab" * 32),
])
def test_good_values(name, good, value):
    assert getattr(load({}, {BY_NAME[name].env: good}), name) == value


@pytest.mark.parametrize("name, bad", [
    ("public_url", "s3.example.com"), ("public_url", "ftp://a"), ("public_url", "https://a?b"), ("public_url", "https://a:x"),
    ("public_url", "https://u:p@a"), ("trusted_proxies", "10.0.0.0/33"), ("trusted_proxies", "proxy.local"), ("domain", "a_b.c:80"),
    ("region", "US East"), ("processes", "many"), ("processes", "0"), ("processes", "257"), ("inline_bytes", "1 parsec"),
    ("log_format", "xml"), ("presigned_v2", "maybe"), ("master_key", "short"), ("drain_timeout_s", "-1"),
])
def test_bad_values_name_the_variable(name, bad):
    assert BY_NAME[name].env in refused(environ={BY_NAME[name].env: bad})


def test_what_is_shown_masks_secrets_and_passwords():
    rows = {row["name"]: row for row in load({"region": "eu-west-1"}, {
        "MAXIOFS_ROOT_ACCESS_KEY": "admin", "MAXIOFS_ROOT_SECRET_KEY": "0123456789",
        "MAXIOFS_DATABASE_URL": "postgresql://me:p@ss/w:ord@host/db?password=other", "MAXIOFS_QUEUE_URL": "redis://:word@host",
    }).rows()}
    assert rows["root_secret_key"]["value"] == settings.MASK
    assert rows["root_access_key"]["value"] == "admin"
    assert rows["database_url"]["value"] == f"postgresql://me:{settings.MASK}@host/db?password={settings.MASK}"
    assert rows["queue_url"]["value"] == f"redis://:{settings.MASK}@host"
    assert (rows["region"]["source"], rows["queue_url"]["source"], rows["listen"]["source"]) == ("flag", "environment", "default")


def test_settings_do_not_show_secrets_by_accident():
    found = load({}, {"MAXIOFS_ROOT_ACCESS_KEY": "admin", "MAXIOFS_ROOT_SECRET_KEY": "0123456789"})
    assert "0123456789" not in repr(found) and "0123456789" not in str(found)


def test_every_setting_has_a_variable_and_help():
    for row in SETTINGS:
        assert row.env == "MAXIOFS_" + row.name.upper() and len(row.help) > 10 and row.flag.startswith("--")


def test_every_setting_is_carried_out_somewhere():
    code = "\n".join(path.read_text() for folder in ("shared", "functions", "workflows", "scripts")
                     for path in (ROOT / folder).rglob("*.py") if path.name != "settings.py")
    unused = [row.name for row in SETTINGS if row.name != "config" and f".{row.name}" not in code]
    assert not unused
