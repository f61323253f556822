"""Where the key and the provider's address are found. The key is never logged and never kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchd.core.errors import ConfigError
from batchd.settings import Settings

CREDENTIAL = "openai-api-key"  # its name in systemd's LoadCredential=
REMEDY = (
    "export OPENAI_API_KEY=… or set openai.api_key_file; to try batchd without a key: batchd demo"
)


def api_key(settings: Settings, environment: Mapping[str, str]) -> str:
    """systemd's credential, else the file, else the environment.

    What is there but of no use is an error, and never a reason to look further: the operator who
    put a file there does not want to pay with another project's key.
    """
    for file, said in files_with_key(settings, environment):
        return _usable(_read(file, said=said), said=said)
    return _usable(environment.get("OPENAI_API_KEY", ""), said="OPENAI_API_KEY")


def files_with_key(settings: Settings, environment: Mapping[str, str]) -> list[tuple[Path, str]]:
    """Return the files that hold a key, the strongest first."""
    files = []
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        file = Path(folder) / CREDENTIAL
        if file.exists():  # other credentials than ours may lie there
            files.append((file, f"the credential {file}"))
    if file_setting := settings.openai.api_key_file:
        files.append((file_setting, f"openai.api_key_file ({file_setting})"))
    return files


def key_from(settings: Settings, environment: Mapping[str, str]) -> str | None:
    """Say where the key is found; None where there is none."""
    if files := files_with_key(settings, environment):
        return files[0][1]
    return "OPENAI_API_KEY" if environment.get("OPENAI_API_KEY") else None


def _read(file: Path, *, said: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{said} holds no key but something binary; {REMEDY}") from None
    except OSError as error:
        raise ConfigError(f"{said} cannot be read ({error.strerror}); {REMEDY}") from None


def _usable(text: str, *, said: str) -> str:
    """A key travels in a header: one word, plain characters."""
    key = text.strip()
    if not key and said == "OPENAI_API_KEY":
        raise ConfigError(f"there is no API key: {REMEDY}")
    if not key:
        raise ConfigError(f"{said} is empty; {REMEDY}")
    if len(key.split()) > 1 or not key.isascii() or not key.isprintable():
        raise ConfigError(f"{said} must hold the key and nothing else; {REMEDY}")
    return key


def base_url(settings: Settings, environment: Mapping[str, str]) -> str | None:
    """`openai.base_url`, else $OPENAI_BASE_URL; None is the provider's own address."""
    address = settings.openai.base_url or environment.get("OPENAI_BASE_URL", "").strip() or None
    if address and not address.startswith(("http://", "https://")):
        raise ConfigError(f"OPENAI_BASE_URL must begin with http:// or https://, not {address!r}")
    return address
