"""Which file systems hold no ledger: by the kernel's own words."""

from pathlib import Path

import pytest

from batchd.core.errors import ConfigError
from batchd.store.mounts import file_system_of, is_remote, must_be_local, silent_kind

MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:44 / /srv rw,relatime shared:5 - nfs4 filer:/srv rw,vers=4.2
31 30 0:45 / /srv/local rw,relatime - xfs /dev/vdb rw
32 27 0:46 / /mnt/my\040share rw - cifs //nas/share rw
33 27 0:47 / /home/me/far rw - fuse.sshfs me@there: rw
34 27 0:48 / /sys/fs/fuse/connections rw - fusectl none rw
35 31 0:49 / /srv/local rw - 9p host rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/batchd", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/jobs/var", "nfs4"),
        ("/srvx", "ext4"),
        ("/mnt/my share/var", "cifs"),
        ("/home/me/far/var", "fuse.sshfs"),
        ("/srv/local/var", "9p"),  # mounted over the xfs that was there
    ],
)
def test_the_nearest_and_latest_mount_counts(path: str, kind: str):
    assert file_system_of(path, MOUNTS) == kind


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "fuseblk"]
)
def test_network_file_systems_and_fuse_are_refused(kind: str):
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fusectl", ""])
def test_local_ones_are_not(kind: str):
    assert not is_remote(kind)


def test_a_folder_of_this_machine_is_good(tmp_path: Path):
    own = file_system_of(str(tmp_path), Path("/proc/self/mountinfo").read_text())
    if is_remote(own):
        with pytest.raises(ConfigError, match=own):
            must_be_local(tmp_path)
    else:
        must_be_local(tmp_path)


def test_where_the_kernel_does_not_tell_nothing_is_refused(tmp_path: Path):
    must_be_local(tmp_path, table=tmp_path / "no-such-file")


def test_the_refusal_names_the_folder_and_the_way_out(tmp_path: Path):
    table = tmp_path / "mountinfo"
    table.write_text("27 1 0:44 / / rw - nfs4 filer:/ rw\n")
    with pytest.raises(ConfigError, match=r"var lies on .*\(nfs4\).* local disk"):
        must_be_local(tmp_path / "var", table=table)


@pytest.mark.parametrize(
    ("kind", "silent"), [("ext4", None), ("overlay", "overlay"), ("nfs4", "nfs4")]
)
def test_where_new_files_may_come_without_a_word_is_known(tmp_path, kind, silent):
    """There the watcher is no use, and `status` says so."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 8:1 / / rw - {kind} /dev/x rw\n")
    assert silent_kind(tmp_path, table=table) == silent
