"""The words of a mapping's `source:` that say where files are, and the place that they mean."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from adapters import sftp_files
from adapters.file_source import Files, Folder
from adapters.mapping import ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.sources import local_path
from adapters.web_auth import Secret
from broker.errors import Invalid
from broker.model import ssh_keys


class FilesForm(BaseModel):
    """Where files are: a folder or one file of this machine, or (`sftp://user@host:22/folder`) of a server."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    kind: str
    path: str | None = None
    """Relative to the mapping file; `--source` goes before it."""
    key: Secret | None = None
    """The private key of SSH, as OpenSSH writes it."""
    host_key: str | None = None
    """The server's public key, as one line of OpenSSH."""
    most_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    """Of one file of a server."""
    timeout_s: Annotated[int, Field(ge=1, le=300)] = 30


def files_of(made: ProductMapping, form: FilesForm, given: str | None) -> Files:
    """Where the files are, or other ones; raises `MappingRefused` and `Invalid`."""
    stated = given if given is not None else form.path
    if stated is None:
        raise Invalid("name the folder or file: --source PATH, or `path:` below `source:` in the mapping")
    remote = sftp_files.is_sftp(stated)
    findings = [
        Finding(made.text.line(("source", word)), f"source.{word}", told) for word, told in _wrong(form, remote=remote)
    ]
    if findings:
        raise MappingRefused(str(made.file), tuple(findings))
    folder = made.file.parent
    if remote and form.key is not None and form.host_key is not None:
        place = sftp_files.place_of(stated)
        key = form.key
        return sftp_files.SftpFiles(
            place, lambda: key.text(folder), ssh_keys.host_key(form.host_key), form.most_bytes, form.timeout_s
        )
    return Folder(local_path(stated if given is not None else str(folder / stated)))


def _wrong(form: FilesForm, *, remote: bool) -> Iterator[tuple[str, str]]:
    if not remote:
        return
    if form.key is None:
        yield "key", "a server of files is entered with a key: write {env: NAME} or {file: path}, and put it there"
    told = ""
    try:
        ssh_keys.host_key(form.host_key or "")
    except Invalid as error:
        told = str(error).partition(": ")[2]
    if told:
        yield "host_key", told
