"""What comes with the program is found, in a checkout as in a wheel."""

from batchd.configuration.shipped import shipped


def test_the_configuration_that_explains_everything_is_there():
    assert "[folders]" in shipped("config", "batchd.toml").read_text()


def test_every_ready_task_is_there_with_a_sample_of_its_own():
    tasks = sorted(path.stem for path in shipped("config", "tasks").glob("*.toml"))
    samples = sorted(path.stem for path in shipped("config", "tasks", "samples").iterdir())
    assert "sentiment" in tasks
    assert samples == tasks
