"""What comes with the program is found, in a checkout as in a wheel."""

from batchd.configuration.shipped import shipped


def test_the_configuration_that_explains_everything_is_there():
    assert "[folders]" in shipped("config", "batchd.toml").read_text()
